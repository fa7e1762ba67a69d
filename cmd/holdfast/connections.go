// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// connectionReader is ipvs.Connections.
type connectionReader func(ctx context.Context, f ipvs.ConnectionFilter, yield func(ipvs.Connection) bool) (skipped int, err error)

func newConnectionsCommand(g *globals) *cobra.Command {
	var service, server string
	c := &cobra.Command{
		Use:   "connections",
		Short: "List the kernel's IPVS connections",
		Long: "List the kernel's IPVS connections, as `ipvsadm -Lnc` does. One at a time is held, however many there are. An entry\n" +
			"with client port 0 holds a persistent client. It needs no running director; for --service and --server, which\n" +
			"name what is in the configuration, it reads that.",
		Example: "  holdfast connections\n  holdfast connections --service web\n  holdfast connections --server web/web1 --json",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&service, "service", "", "only those of a virtual_server, by its `name`")
	c.Flags().StringVar(&server, "server", "", "only those of a real_server, by SERVICE/SERVER, or its `name` beside --service")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		want, err := g.wantedConnections(service, server)
		if err != nil {
			return fmt.Errorf("connections: %w", err)
		}
		return listConnections(cmd.Context(), g, want, cmd.OutOrStdout(), cmd.ErrOrStderr(), ipvs.Connections)
	}
	return c
}

// wanted says which connections are listed.
type wanted struct {
	filter ipvs.ConnectionFilter
	// servers are of a service by mark: only they tell its connections from others.
	servers map[netip.AddrPort]bool
}

func (w wanted) matches(c ipvs.Connection) bool {
	return w.servers == nil || w.servers[c.Destination] || w.servers[netip.AddrPortFrom(c.Destination.Addr(), 0)]
}

// wantedConnections finds what the flags name in the configuration.
func (g *globals) wantedConnections(service, server string) (w wanted, err error) {
	if service == "" && server == "" {
		return w, nil
	}
	if before, after, ok := strings.Cut(server, "/"); ok {
		if service != "" && service != before {
			return w, fmt.Errorf("--server %s is not of --service %s", server, service)
		}
		service, server = before, after
	}
	if service == "" {
		return w, errors.New("--server takes SERVICE/SERVER, or --service beside it")
	}
	cfg, diags := g.load()
	if diags.Errors() > 0 {
		return w, diags.Err()
	}
	var names []string
	for _, vs := range cfg.VirtualServers {
		if vs.Name == service {
			return serviceConnections(vs, server)
		}
		names = append(names, vs.Name)
	}
	return w, fmt.Errorf("no virtual_server %q in %s: there is %s", service, g.config, director.Few(names))
}

func serviceConnections(vs configs.VirtualServer, server string) (w wanted, err error) {
	marked := vs.Key.Mark != 0
	if !marked {
		w.filter.Service = vs.Key
	} else {
		w.servers = make(map[netip.AddrPort]bool)
	}
	var names []string
	for _, rs := range vs.RealServers {
		if rs.Name == server {
			w.filter.Destination, w.servers = rs.Address, nil
			return w, nil
		}
		if marked {
			w.servers[rs.Address] = true
		}
		names = append(names, rs.Name)
	}
	if server != "" {
		return w, director.NoServer(vs.Name, server, names)
	}
	return w, nil
}

// connectionJSON is a connection as --json prints it.
type connectionJSON struct {
	Protocol       string         `json:"protocol"`
	Client         netip.AddrPort `json:"client"`
	Virtual        netip.AddrPort `json:"virtual"`
	Destination    netip.AddrPort `json:"destination"`
	State          string         `json:"state"`
	ExpiresSeconds int            `json:"expires_seconds"`
	Template       bool           `json:"template"` // no connection, but what holds a persistent client
	Engine         string         `json:"engine,omitempty"`
	Data           string         `json:"data,omitempty"`
}

// listConnections writes each connection when it is read.
func listConnections(ctx context.Context, g *globals, want wanted, out, errs io.Writer, read connectionReader) error {
	w := bufio.NewWriter(out)
	list := textConnections
	if g.json {
		list = jsonConnections
	}
	var writeErr error
	skipped, err := list(w, func(write func(ipvs.Connection) error) (int, error) {
		return read(ctx, want.filter, func(c ipvs.Connection) bool {
			if want.matches(c) {
				writeErr = write(c)
			}
			return writeErr == nil
		})
	})
	if err = errors.Join(err, writeErr, w.Flush()); err != nil {
		return err
	}
	if skipped > 0 {
		fmt.Fprintf(errs, "holdfast: %s of the kernel left out, because they were not understood\n", plural(skipped, "line"))
	}
	return nil
}

type eachConnection func(write func(ipvs.Connection) error) (skipped int, err error)

// textConnections has the columns of ipvsadm.
func textConnections(w io.Writer, each eachConnection) (int, error) {
	const row = "%-3s %-6s %-11s %-18s %-18s %s\n"
	head := func() error {
		_, err := fmt.Fprintf(w, "IPVS connection entries\n"+row, "pro", "expire", "state", "source", "virtual", "destination")
		return err
	}
	first := true
	skipped, err := each(func(c ipvs.Connection) error {
		if first {
			first = false
			if err := head(); err != nil {
				return err
			}
		}
		seconds := int(c.Expires.Seconds())
		destination := c.Destination.String()
		if c.Engine != "" {
			destination = fmt.Sprintf("%-18s %s %s", destination, c.Engine, printable(c.Data))
		}
		_, err := fmt.Fprintf(w, row, protocolWord(c.Protocol), fmt.Sprintf("%02d:%02d", seconds/60, seconds%60), c.State, c.Client, c.Virtual, destination)
		return err
	})
	if err == nil && first {
		err = head()
	}
	return skipped, err
}

// jsonConnections writes one array, an element a line.
func jsonConnections(w io.Writer, each eachConnection) (int, error) {
	before := "["
	skipped, err := each(func(c ipvs.Connection) error {
		b, err := json.Marshal(connectionJSON{
			Protocol: strings.ToLower(protocolWord(c.Protocol)), Client: c.Client, Virtual: c.Virtual, Destination: c.Destination,
			State: c.State, ExpiresSeconds: int(c.Expires.Seconds()), Template: c.Template, Engine: c.Engine, Data: strings.ToValidUTF8(c.Data, "?"),
		})
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n%s", before, b)
			before = ","
		}
		return err
	})
	if err != nil {
		return skipped, err
	}
	if before == "[" {
		_, err = io.WriteString(w, "[]\n")
	} else {
		_, err = io.WriteString(w, "\n]\n")
	}
	return skipped, err
}

// protocolWord is a protocol as the kernel writes it.
func protocolWord(p ipvs.Protocol) string {
	switch p {
	case 0:
		return "IP"
	case ipvs.TCP, ipvs.UDP, ipvs.SCTP:
		return strings.ToUpper(p.String())
	}
	return fmt.Sprint(uint8(p))
}
