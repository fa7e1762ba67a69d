// SPDX-License-Identifier: Apache-2.0

package configs

import "github.com/hashicorp/hcl/v2"

// The raw layer: the whole language as the files say it, without defaults. A field tagged `served:"no"` belongs to the
// language but not to this version; giving it is refused, never ignored. In a check or auth block, `of` lists the kinds that
// have the argument or block (absent: all). No dynamic block makes what is tagged `static`. What a file includes is seen to
// before (see loader).

type rawConfig struct {
	Variables      []*rawVariable      `hcl:"variable,block" static:"yes"`
	Director       *rawDirector        `hcl:"director,block"`
	Log            *rawLog             `hcl:"log,block"`
	HTTP           *rawHTTP            `hcl:"http,block"`
	VirtualRouters []*rawVirtualRouter `hcl:"virtual_router,block"`
	SyncGroups     []*rawSyncGroup     `hcl:"sync_group,block"`
	Notify         []*rawNotify        `hcl:"notify,block"`
	ConnectionSync *rawConnectionSync  `hcl:"connection_sync,block"`
	Timeouts       *rawTimeouts        `hcl:"timeouts,block"`
	VirtualServers []*rawVirtualServer `hcl:"virtual_server,block"`
}

type rawVariable struct {
	Name      string         `hcl:"name,label"`
	NameRange hcl.Range      `hcl:"name,label_range"`
	Default   *hcl.Attribute `hcl:"default,optional"`
}

type rawDirector struct {
	Name          *hcl.Attribute `hcl:"name,optional"`
	ControlSocket *hcl.Attribute `hcl:"control_socket,optional"`
	StateDir      *hcl.Attribute `hcl:"state_dir,optional"`
	ManageSysctls *hcl.Attribute `hcl:"manage_sysctls,optional"`
	OnExit        *hcl.Attribute `hcl:"on_exit,optional"`
	ControlGroup  *hcl.Attribute `hcl:"control_group,optional"`
	Drift         *hcl.Attribute `hcl:"drift,optional"`
	Realtime      *hcl.Attribute `hcl:"realtime,optional"`
}

type rawLog struct {
	Level  *hcl.Attribute `hcl:"level,optional"`
	Format *hcl.Attribute `hcl:"format,optional"`
}

type rawHTTP struct {
	Listen    *hcl.Attribute `hcl:"listen,optional"`
	BasicAuth *hcl.Attribute `hcl:"basic_auth,optional"`
	TLS       *rawListenTLS  `hcl:"tls,block"`
}

type rawListenTLS struct {
	Range       hcl.Range      `hcl:",def_range"`
	Certificate *hcl.Attribute `hcl:"certificate,optional"`
	Key         *hcl.Attribute `hcl:"key,optional"`
	ClientCA    *hcl.Attribute `hcl:"client_ca,optional"`
}

type rawVirtualRouter struct {
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Interface         *hcl.Attribute `hcl:"interface,optional"`
	ID                *hcl.Attribute `hcl:"id,optional"`
	Version           *hcl.Attribute `hcl:"version,optional"`
	Priority          *hcl.Attribute `hcl:"priority,optional"`
	AdvertiseInterval *hcl.Attribute `hcl:"advertise_interval,optional"`
	Preempt           *hcl.Attribute `hcl:"preempt,optional"`
	PreemptDelay      *hcl.Attribute `hcl:"preempt_delay,optional"`
	StartupDelay      *hcl.Attribute `hcl:"startup_delay,optional"`
	Owner             *hcl.Attribute `hcl:"owner,optional"`
	Checksum          *hcl.Attribute `hcl:"checksum,optional"`
	UseVMAC           *hcl.Attribute `hcl:"use_vmac,optional"`
	Source            *hcl.Attribute `hcl:"source,optional"`
	Addresses         *hcl.Attribute `hcl:"addresses,optional"`
	ExcludedAddresses *hcl.Attribute `hcl:"excluded_addresses,optional"`
	AddressDevice     *hcl.Attribute `hcl:"address_device,optional"`
	AddressLease      *hcl.Attribute `hcl:"address_lease,optional"`
	Handover          *hcl.Attribute `hcl:"handover,optional"`
	VirtualRoutes     *hcl.Attribute `hcl:"virtual_routes,optional"`

	Unicast       *rawUnicast       `hcl:"unicast,block"`
	GratuitousARP *rawGratuitousARP `hcl:"gratuitous_arp,block"`

	Auth            []*rawAuth           `hcl:"auth,block"`
	TrackInterfaces []*rawTrackInterface `hcl:"track_interface,block"`
	TrackScripts    []*rawTrackScript    `hcl:"track_script,block"`
	TrackProcesses  []*rawTrackProcess   `hcl:"track_process,block"`
	TrackFiles      []*rawTrackFile      `hcl:"track_file,block"`
	TrackServices   []*rawTrackService   `hcl:"track_service,block"`
}

type rawUnicast struct {
	Range  hcl.Range      `hcl:",def_range"`
	Source *hcl.Attribute `hcl:"source,optional"`
	Peers  *hcl.Attribute `hcl:"peers,optional"`
	TTL    *hcl.Attribute `hcl:"ttl,optional"`
	MinTTL *hcl.Attribute `hcl:"min_ttl,optional"`
}

type rawGratuitousARP struct {
	Burst    *hcl.Attribute `hcl:"burst,optional"`
	Repeat   *hcl.Attribute `hcl:"repeat,optional"`
	Delay    *hcl.Attribute `hcl:"delay,optional"`
	Refresh  *hcl.Attribute `hcl:"refresh,optional"`
	Interval *hcl.Attribute `hcl:"interval,optional"`
	Format   *hcl.Attribute `hcl:"format,optional"`
}

// rawAuth holds the arguments of both kinds.
type rawAuth struct {
	Kind      string    `hcl:"kind,label"`
	KindRange hcl.Range `hcl:"kind,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Password *hcl.Attribute `hcl:"password,optional" of:"pass"`
	Keys     *hcl.Attribute `hcl:"keys,optional" of:"hmac" served:"no"`
	Active   *hcl.Attribute `hcl:"active,optional" of:"hmac" served:"no"`
	Mode     *hcl.Attribute `hcl:"mode,optional" of:"hmac" served:"no"`
}

type rawTrackInterface struct {
	Name      string         `hcl:"name,label"`
	NameRange hcl.Range      `hcl:"name,label_range"`
	Weight    *hcl.Attribute `hcl:"weight,optional"`
}

type rawTrackScript struct {
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Command  *hcl.Attribute `hcl:"command,optional"`
	Interval *hcl.Attribute `hcl:"interval,optional"`
	Timeout  *hcl.Attribute `hcl:"timeout,optional"`
	Rise     *hcl.Attribute `hcl:"rise,optional"`
	Fall     *hcl.Attribute `hcl:"fall,optional"`
	Weight   *hcl.Attribute `hcl:"weight,optional"`
	User     *hcl.Attribute `hcl:"user,optional"`
}

type rawTrackProcess struct {
	Name      string         `hcl:"label,label"`
	NameRange hcl.Range      `hcl:"label,label_range"`
	Process   *hcl.Attribute `hcl:"name,optional"`
	Min       *hcl.Attribute `hcl:"min,optional"`
	Weight    *hcl.Attribute `hcl:"weight,optional"`
}

type rawTrackFile struct {
	Name      string         `hcl:"name,label"`
	NameRange hcl.Range      `hcl:"name,label_range"`
	Range     hcl.Range      `hcl:",def_range"`
	Path      *hcl.Attribute `hcl:"path,optional"`
	Weight    *hcl.Attribute `hcl:"weight,optional"`
}

type rawTrackService struct {
	Name      string         `hcl:"name,label"`
	NameRange hcl.Range      `hcl:"name,label_range"`
	Weight    *hcl.Attribute `hcl:"weight,optional"`
}

type rawSyncGroup struct {
	Name      string         `hcl:"name,label"`
	NameRange hcl.Range      `hcl:"name,label_range"`
	Range     hcl.Range      `hcl:",def_range"`
	Members   *hcl.Attribute `hcl:"members,optional"`
}

type rawNotify struct {
	Range   hcl.Range      `hcl:",def_range"`
	Events  *hcl.Attribute `hcl:"events,optional"`
	Command *hcl.Attribute `hcl:"command,optional"`
	Webhook *hcl.Attribute `hcl:"webhook,optional"`
	Timeout *hcl.Attribute `hcl:"timeout,optional"`
	User    *hcl.Attribute `hcl:"user,optional"`
}

type rawConnectionSync struct {
	Range         hcl.Range      `hcl:",def_range"`
	Interface     *hcl.Attribute `hcl:"interface,optional"`
	ID            *hcl.Attribute `hcl:"id,optional"`
	VirtualRouter *hcl.Attribute `hcl:"virtual_router,optional"`
	Group         *hcl.Attribute `hcl:"group,optional"`
	Port          *hcl.Attribute `hcl:"port,optional"`
	TTL           *hcl.Attribute `hcl:"ttl,optional"`
}

type rawTimeouts struct {
	TCP    *hcl.Attribute `hcl:"tcp,optional"`
	TCPFin *hcl.Attribute `hcl:"tcp_fin,optional"`
	UDP    *hcl.Attribute `hcl:"udp,optional"`
}

type rawVirtualServer struct {
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Address        *hcl.Attribute `hcl:"address,optional"`
	Fwmark         *hcl.Attribute `hcl:"fwmark,optional"`
	Family         *hcl.Attribute `hcl:"family,optional"`
	Protocol       *hcl.Attribute `hcl:"protocol,optional"`
	Scheduler      *hcl.Attribute `hcl:"scheduler,optional"`
	SchedulerFlags *hcl.Attribute `hcl:"scheduler_flags,optional"`
	Forward        *hcl.Attribute `hcl:"forward,optional"`
	OnePacket      *hcl.Attribute `hcl:"one_packet,optional"`
	Active         *hcl.Attribute `hcl:"active,optional"`
	Start          *hcl.Attribute `hcl:"start,optional"`
	PanicThreshold *hcl.Attribute `hcl:"panic_threshold,optional"`
	OnFailure      *hcl.Attribute `hcl:"on_failure,optional"`
	SlowStart      *hcl.Attribute `hcl:"slow_start,optional"`
	DrainTimeout   *hcl.Attribute `hcl:"drain_timeout,optional"`

	Persistence *rawPersistence  `hcl:"persistence,block"`
	Quorum      *rawQuorum       `hcl:"quorum,block"`
	SorryServer *rawSorryServer  `hcl:"sorry_server,block"`
	Checks      []*rawCheck      `hcl:"check,block"`
	RealServers []*rawRealServer `hcl:"real_server,block"`
}

type rawPersistence struct {
	Range   hcl.Range      `hcl:",def_range"`
	Timeout *hcl.Attribute `hcl:"timeout,optional"`
	Netmask *hcl.Attribute `hcl:"netmask,optional"`
	Engine  *hcl.Attribute `hcl:"engine,optional"`
}

type rawQuorum struct {
	Range      hcl.Range      `hcl:",def_range"`
	Weight     *hcl.Attribute `hcl:"weight,optional"`
	Hysteresis *hcl.Attribute `hcl:"hysteresis,optional"`
}

type rawSorryServer struct {
	Range   hcl.Range      `hcl:",def_range"`
	Address *hcl.Attribute `hcl:"address,optional"`
	Forward *hcl.Attribute `hcl:"forward,optional"`
}

type rawRealServer struct {
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Address        *hcl.Attribute `hcl:"address,optional"`
	Weight         *hcl.Attribute `hcl:"weight,optional"`
	Forward        *hcl.Attribute `hcl:"forward,optional"`
	UpperThreshold *hcl.Attribute `hcl:"upper_threshold,optional"`
	LowerThreshold *hcl.Attribute `hcl:"lower_threshold,optional"`
	Maintenance    *hcl.Attribute `hcl:"maintenance,optional"`

	Tunnel *rawTunnel  `hcl:"tunnel,block"`
	Checks []*rawCheck `hcl:"check,block"`
}

type rawTunnel struct {
	Range    hcl.Range      `hcl:",def_range"`
	Type     *hcl.Attribute `hcl:"type,optional"`
	Port     *hcl.Attribute `hcl:"port,optional"`
	Checksum *hcl.Attribute `hcl:"checksum,optional"`
}

// rawCheck holds the arguments of every kind of check, so that one given to the wrong kind is named as such. The name of a
// DNS check is what it asks for.
type rawCheck struct {
	Kind      string    `hcl:"kind,label"`
	KindRange hcl.Range `hcl:"kind,label_range"`
	Range     hcl.Range `hcl:",def_range"`

	Name          *hcl.Attribute `hcl:"name,optional"`
	Interval      *hcl.Attribute `hcl:"interval,optional"`
	Timeout       *hcl.Attribute `hcl:"timeout,optional"`
	Rise          *hcl.Attribute `hcl:"rise,optional"`
	Fall          *hcl.Attribute `hcl:"fall,optional"`
	RetryInterval *hcl.Attribute `hcl:"retry_interval,optional"`
	Address       *hcl.Attribute `hcl:"address,optional"`
	Port          *hcl.Attribute `hcl:"port,optional" of:"tcp http dns grpc smtp udp"`
	Source        *hcl.Attribute `hcl:"source,optional" of:"tcp http dns grpc smtp udp icmp"`
	Via           *hcl.Attribute `hcl:"via,optional" of:"tcp http dns grpc smtp udp icmp"`

	Send          *hcl.Attribute `hcl:"send,optional" of:"tcp udp"`
	Expect        *hcl.Attribute `hcl:"expect,optional" of:"tcp http dns udp"`
	URL           *hcl.Attribute `hcl:"url,optional" of:"http"`
	Scheme        *hcl.Attribute `hcl:"scheme,optional" of:"http"`
	Path          *hcl.Attribute `hcl:"path,optional" of:"http"`
	Host          *hcl.Attribute `hcl:"host,optional" of:"http"`
	Method        *hcl.Attribute `hcl:"method,optional" of:"http"`
	Headers       *hcl.Attribute `hcl:"headers,optional" of:"http"`
	Body          *hcl.Attribute `hcl:"body,optional" of:"http"`
	HTTP2         *hcl.Attribute `hcl:"http2,optional" of:"http"`
	Status        *hcl.Attribute `hcl:"status,optional" of:"http"`
	Digest        *hcl.Attribute `hcl:"digest,optional" of:"http"`
	MaxBody       *hcl.Attribute `hcl:"max_body,optional" of:"http"`
	Redirects     *hcl.Attribute `hcl:"redirects,optional" of:"http"`
	Type          *hcl.Attribute `hcl:"type,optional" of:"dns"`
	Transport     *hcl.Attribute `hcl:"transport,optional" of:"dns"`
	Service       *hcl.Attribute `hcl:"service,optional" of:"grpc"`
	HELO          *hcl.Attribute `hcl:"helo,optional" of:"smtp"`
	StartTLS      *hcl.Attribute `hcl:"starttls,optional" of:"smtp"`
	Command       *hcl.Attribute `hcl:"command,optional" of:"exec"`
	DynamicWeight *hcl.Attribute `hcl:"dynamic_weight,optional" of:"exec"`
	User          *hcl.Attribute `hcl:"user,optional" of:"exec"`

	TLS *rawTLS `hcl:"tls,block" of:"tcp http dns grpc smtp"`
}

type rawTLS struct {
	Type hcl.Range `hcl:",type_range"`

	Verify      *hcl.Attribute `hcl:"verify,optional"`
	CA          *hcl.Attribute `hcl:"ca,optional"`
	ServerName  *hcl.Attribute `hcl:"server_name,optional"`
	Certificate *hcl.Attribute `hcl:"certificate,optional"`
	Key         *hcl.Attribute `hcl:"key,optional"`
	MinVersion  *hcl.Attribute `hcl:"min_version,optional"`
}
