// SPDX-License-Identifier: Apache-2.0

package director

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// metrics is everything that /metrics shows. What happens is counted here; what is, is collected from the director when
// somebody asks, so that a removed server leaves nothing behind.
type metrics struct {
	registry    *prometheus.Registry // of all but the tables
	transitions *prometheus.CounterVec
	foreign     *prometheus.CounterVec
	operations  *prometheus.CounterVec
	drift       *prometheus.CounterVec
	reconcile   prometheus.Histogram
	check       prometheus.Histogram
	checkLate   prometheus.Histogram
	late        *prometheus.HistogramVec
	notify      *prometheus.CounterVec
	// of those who follow the events and did not read them
	followersDropped prometheus.Counter
	reloadOK         prometheus.Gauge
	reloadTime       prometheus.Gauge
}

func newMetrics(d *Director) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_virtual_router_transitions_total", Help: "Changes of state of a virtual router, by the new state.",
		}, []string{"virtual_router", "to"}),
		foreign: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_virtual_router_foreign_answers_total",
			Help: "Answers to ARP probes for the virtual addresses of a master by hosts that are no director.",
		}, []string{"virtual_router"}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_ipvs_operations_total", Help: "Operations on the kernel's IPVS table.",
		}, []string{"op", "result"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_ipvs_drift_total", Help: "What others changed in our part of the IPVS table, by the operation that mends it.",
		}, []string{"kind"}),
		reconcile: prometheus.NewHistogram(histogram("holdfast_ipvs_reconcile_duration_seconds",
			"Time to make the IPVS table as wanted, or to find that it is.")),
		check: prometheus.NewHistogram(histogram("holdfast_check_duration_seconds", "Time that checks took.")),
		checkLate: prometheus.NewHistogram(latenessHistogram("holdfast_check_lateness_seconds",
			"How late checks began. One that was left out for being too late counts, too.")),
		late: prometheus.NewHistogramVec(latenessHistogram("holdfast_virtual_router_lateness_seconds",
			"How late the timers of the election fired."), []string{"virtual_router"}),
		notify: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_notify_total", Help: "Events at each notify block, by how they ended.",
		}, []string{"result"}),
		followersDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_event_followers_dropped_total", Help: "Clients that followed the events and were dropped because they did not read.",
		}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_config_last_reload_successful", Help: "1 if the last attempt to load the configuration was taken.",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_config_last_reload_success_timestamp_seconds", Help: "When a configuration was taken last.",
		}),
	}
	m.registry.MustRegister(m.transitions, m.foreign, m.operations, m.drift, m.reconcile, m.check, m.checkLate, m.late, m.notify, m.followersDropped, m.reloadOK, m.reloadTime,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), stateCollector{d})
	for _, k := range ipvs.Kinds() { // zeros from the start
		m.operations.WithLabelValues(label(k), "done")
		m.operations.WithLabelValues(label(k), "failed")
		m.drift.WithLabelValues(label(k))
	}
	for _, r := range []string{"done", "failed", "dropped"} {
		m.notify.WithLabelValues(r)
	}
	m.reloaded(nil)
	return m
}

// histogram has classic buckets, which every scraper reads, and native ones.
func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

// latenessHistogram begins where a timer is as good as on time.
func latenessHistogram(name, help string) prometheus.HistogramOpts {
	o := histogram(name, help)
	o.Buckets = append([]float64{.0001, .00025}, o.Buckets...)
	return o
}

func label(k ipvs.Kind) string { return strings.ReplaceAll(k.String(), " ", "_") }

// begin makes zeros of the counters of a virtual router, for a rate that begins with the first event.
func (m *metrics) begin(router string) {
	m.foreign.WithLabelValues(router)
	for _, state := range routerStates {
		m.transitions.WithLabelValues(router, state.String())
	}
}

func (m *metrics) transition(t vrrp.Transition) {
	m.transitions.WithLabelValues(t.Router, t.To.String()).Inc()
}

func (m *metrics) notified(result string) { m.notify.WithLabelValues(result).Inc() }

func (m *metrics) observeCheck(s checker.Status, _ checker.Result) {
	m.check.Observe(s.Duration.Seconds())
}

func (m *metrics) reconciled(r ipvs.Report) {
	m.reconcile.Observe(r.Duration.Seconds())
	for _, k := range ipvs.Kinds() {
		m.operations.WithLabelValues(label(k), "done").Add(float64(r.Done[k]))
		m.operations.WithLabelValues(label(k), "failed").Add(float64(r.Failed[k]))
		m.drift.WithLabelValues(label(k)).Add(float64(r.Drift[k]))
	}
}

func (m *metrics) reloaded(err error) {
	if err != nil {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.SetToCurrentTime()
}

// forget removes the counters of a virtual router that is gone.
func (m *metrics) forget(router string) {
	gone := prometheus.Labels{"virtual_router": router}
	m.transitions.DeletePartialMatch(gone)
	m.late.DeletePartialMatch(gone)
	m.foreign.DeletePartialMatch(gone)
}

// gauge describes one metric that is collected.
type gauge struct {
	name, help string
	labels     []string
	kind       prometheus.ValueType
	desc       *prometheus.Desc
}

func described(kind prometheus.ValueType, name, help string, labels ...string) gauge {
	name = "holdfast_" + name
	return gauge{name, help, labels, kind, prometheus.NewDesc(name, help, labels, nil)}
}

func (g gauge) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(g.desc, g.kind, value, labels...)
}

const (
	isGauge   = prometheus.GaugeValue
	isCounter = prometheus.CounterValue
)

// The metrics that are collected, all of them.
var (
	buildInfo  = described(isGauge, "build_info", "The running program.", "version", "revision", "go_version")
	configInfo = described(isGauge, "config_info", "The configuration in force.", "hash")

	routerState      = described(isGauge, "virtual_router_state", "1 for the state that the virtual router is in.", "virtual_router", "state")
	routerPriority   = described(isGauge, "virtual_router_priority", "Priority in the election.", "virtual_router", "kind")
	routerPart       = described(isGauge, "virtual_router_priority_part", "What a tracked thing adds to the priority now.", "virtual_router", "kind", "name")
	routerTrackUp    = described(isGauge, "virtual_router_track_up", "1 if the tracked thing is well.", "virtual_router", "kind", "name")
	routerSent       = described(isCounter, "virtual_router_adverts_sent_total", "Adverts sent.", "virtual_router")
	routerReceived   = described(isCounter, "virtual_router_adverts_received_total", "Adverts of others that were valid.", "virtual_router")
	routerRefused    = described(isCounter, "virtual_router_adverts_refused_total", "Packets refused, which had no other effect.", "virtual_router", "reason")
	routerPeerSeen   = described(isGauge, "virtual_router_peer_last_seen_timestamp_seconds", "When a peer's advert came last.", "virtual_router", "peer")
	routerAnnounced  = described(isCounter, "virtual_router_announcements_sent_total", "Gratuitous ARP and unsolicited neighbour advertisements sent.", "virtual_router")
	routerOther      = described(isCounter, "virtual_router_other_master_seen_total", "Adverts heard while master.", "virtual_router")
	routerAddresses  = described(isCounter, "virtual_router_other_addresses_total", "Valid adverts with another list of addresses than ours.", "virtual_router")
	routerSendErrors = described(isCounter, "virtual_router_send_errors_total", "Adverts that could not be sent.", "virtual_router")
	routerHostErrors = described(isCounter, "virtual_router_address_errors_total", "Attempts to set or remove addresses or routes that failed.", "virtual_router")
	routerRestored   = described(isCounter, "virtual_router_addresses_restored_total", "Addresses put back after someone else removed them.", "virtual_router")

	routerStepped   = described(isGauge, "virtual_router_stepped_down", "1 while it leaves the role to others, by the order of an operator (holdfast failover).", "virtual_router")
	routerContested = described(isGauge, "virtual_router_contested_addresses", "Virtual addresses of a master that hosts answer ARP for which are no director.", "virtual_router")

	checkUp      = described(isGauge, "check_up", "1 if the check's verdict is up.", "virtual_server", "real_server", "check")
	checkResults = described(isCounter, "check_results_total", "Results: passed, failed, or local: it could not run here.", "virtual_server", "real_server", "check", "result")

	serverUp       = described(isGauge, "real_server_up", "1 if all of its checks pass.", "virtual_server", "real_server")
	serverWeight   = described(isGauge, "real_server_weight", "Weight that the table should have; 0: no new connections, or not in it.", "virtual_server", "real_server")
	serverDraining = described(isGauge, "real_server_draining", "1 while it is taken out and stays in the table for the connections it has.", "virtual_server", "real_server")
	serverOut      = described(isGauge, "real_server_maintenance", "1 while it is taken out, by a command or by maintenance = true, also after it has left the table.", "virtual_server", "real_server")
	serverActive   = described(isGauge, "real_server_active_connections", "Connections in an active state.", "virtual_server", "real_server")
	serverInactive = described(isGauge, "real_server_inactive_connections", "Connections in any other state.", "virtual_server", "real_server")
	serverConns    = described(isCounter, "real_server_connections_total", "Connections scheduled.", "virtual_server", "real_server")
	serverPackets  = described(isCounter, "real_server_packets_total", "Packets.", "virtual_server", "real_server", "direction")
	serverBytes    = described(isCounter, "real_server_bytes_total", "Bytes.", "virtual_server", "real_server", "direction")

	serviceUp      = described(isGauge, "virtual_server_up", "1 if its quorum is met.", "virtual_server")
	serviceSorry   = described(isGauge, "virtual_server_sorry", "1 if its sorry server gets the traffic.", "virtual_server")
	servicePanic   = described(isGauge, "virtual_server_panic", "1 if all of its real servers get traffic because too few are up.", "virtual_server")
	serviceQuorum  = described(isGauge, "virtual_server_quorum", "Weight that it takes for the service to be up, without hysteresis.", "virtual_server")
	serviceWeight  = described(isGauge, "virtual_server_quorum_weight", "Configured weight of its real servers that are up, without those whose checks ask for weight 0.", "virtual_server")
	serviceConns   = described(isCounter, "virtual_server_connections_total", "Connections scheduled.", "virtual_server")
	servicePackets = described(isCounter, "virtual_server_packets_total", "Packets.", "virtual_server", "direction")
	serviceBytes   = described(isCounter, "virtual_server_bytes_total", "Bytes.", "virtual_server", "direction")

	syncUp = described(isGauge, "sync_daemon_up", "1 if this half of connection sync runs: master sends, backup receives. Both run for some seconds after a change of the role.", "role")

	reconciledWell  = described(isGauge, "ipvs_last_reconcile_successful", "1 if the IPVS table was made as wanted, or found so, by the last attempt.")
	driftLeft       = described(isGauge, "ipvs_drift_left", "What others changed in our part of the IPVS table and drift = \"report\" leaves so, by the operation that would mend it.", "kind")
	foreignServices = described(isGauge, "ipvs_foreign_services", "Services in the table that are not ours.")
)

var routerStates = []vrrp.State{vrrp.Init, vrrp.Backup, vrrp.Master, vrrp.Fault}

// stateCollector collects what is, from the loop's last view.
type stateCollector struct{ d *Director }

// Describe sends nothing: which series there are depends on the configuration.
func (stateCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	v := c.d.view.Load()
	if v == nil {
		return
	}
	version := c.d.o.Version
	buildInfo.send(ch, 1, version.Version, version.Revision, version.Go)
	configInfo.send(ch, 1, v.config.Hash)
	reconciledWell.send(ch, bit(!v.report.Time.IsZero() && v.report.Err == nil))
	foreignServices.send(ch, float64(v.report.Foreign))
	for _, k := range ipvs.Kinds() {
		driftLeft.send(ch, float64(v.report.Left[k]), label(k))
	}
	if syncing(v.config) {
		for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
			runs := slices.ContainsFunc(v.report.Sync, func(d ipvs.SyncDaemon) bool { return d.Role == role })
			syncUp.send(ch, bit(runs), role.String())
		}
	}
	for _, r := range v.routers {
		s := r.instance.Status()
		collectRouter(ch, s)
		routerStepped.send(ch, bit(r.stepped.order != 0), s.Name)
		routerContested.send(ch, float64(len(r.contested)), s.Name)
	}
}

func collectRouter(ch chan<- prometheus.Metric, s vrrp.Status) {
	for _, state := range routerStates {
		routerState.send(ch, bit(s.State == state), s.Name, state.String())
	}
	routerPriority.send(ch, float64(s.Config.Priority), s.Name, "configured")
	routerPriority.send(ch, float64(effective(s)), s.Name, "effective")
	for _, p := range s.Parts {
		routerPart.send(ch, float64(p.Value), s.Name, p.Kind, p.Name)
		routerTrackUp.send(ch, bit(!p.Failed && !p.Pending), s.Name, p.Kind, p.Name)
	}
	routerSent.send(ch, float64(s.Sent), s.Name)
	routerReceived.send(ch, float64(s.Received), s.Name)
	for reason, n := range s.Refused {
		routerRefused.send(ch, float64(n), s.Name, string(reason))
	}
	for _, p := range s.Peers {
		routerPeerSeen.send(ch, float64(p.LastSeen.UnixNano())/1e9, s.Name, p.Address.String())
	}
	routerAnnounced.send(ch, float64(s.Announced), s.Name)
	routerOther.send(ch, float64(s.OtherMasterSeen), s.Name)
	routerAddresses.send(ch, float64(s.OtherAddresses), s.Name)
	routerSendErrors.send(ch, float64(s.SendErrors), s.Name)
	routerHostErrors.send(ch, float64(s.HostErrors), s.Name)
	routerRestored.send(ch, float64(s.Restored), s.Name)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
