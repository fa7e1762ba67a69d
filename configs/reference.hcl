# The configuration language of holdfast: every block and attribute, with its default. A test decodes this file and compares every
# value with the code's default; as a configuration it would contradict itself, so it cannot be loaded.
# What this version does not serve yet is marked at the end of its line, a block at its first line, and is refused, never ignored.
# An attribute shown as `name = value` holds its default unless the comment says "required" or "example".
# Durations are strings in Go's syntax ("300ms", "1m"); a bare number is refused with a diagnostic that shows the string to write.
# Several files, or a folder of *.hcl and *.hcl.json, make one configuration: their blocks are concatenated in the order of the files' names.
# `include = ["conf.d/*.hcl"]` at the top level adds files relative to the file that says so (sorted, loops refused).
# Expressions: `var.NAME` from `variable "NAME" { default = … }` and from the command line (--var NAME=VALUE),
# `env("NAME")`, `dynamic` blocks (as hcl's ext/dynblock), operators, and functions of texts, numbers, lists and maps.

director {
  name           = "lb1"                          # default: the host's name
  control_socket = "/run/holdfast/control.sock"   # mode 0660; the API behind every command
  state_dir      = "/var/lib/holdfast"            # drains, weights set at run time, health at the last stop: survive a restart
  manage_sysctls = true                           # set what the forwarding methods in use need on a director, and say which and why in the log; false: only report (doctor)
  on_exit        = "withdraw"                     # withdraw: hand over the addresses, leave the IPVS table as it is | clear: also delete our services | keep: leave both (upgrade in place; addresses still end with their lease)
  control_group  = ""                             # group whose members may change things over the control socket, besides root
  drift          = "repair"                       # repair | report: what to do when someone else changed our part of the IPVS table
  realtime       = false                          # SCHED_FIFO + mlockall for the election thread
}

log {
  level  = "info"       # debug | info | warn | error
  format = "auto"       # auto: text on a terminal, journal-friendly without timestamps under systemd, else json
}

http {
  listen     = "127.0.0.1:9652"   # /metrics /healthz /readyz (later a read-only status page); "" turns it off
  tls {                           # optional block
    certificate = "/etc/holdfast/tls.crt"   # required in the block
    key         = "/etc/holdfast/tls.key"   # required in the block
    client_ca   = ""                        # set: clients must present a certificate signed by it
  }
  basic_auth = {}                 # user = bcrypt hash
}

# ---- Election -------------------------------------------------------------------------------------------------

virtual_router "web" {              # one VRRP virtual router; several may share an interface
  interface          = "eth0"       # required
  id                 = 51           # required; VRID 1-255, unique per interface and address family
  version            = 3            # 3 (RFC 9568) | 2 (RFC 3768, IPv4 only)
  priority           = 100          # 1-254; 255 is the address owner
  advertise_interval = "1s"         # v3: 10ms-40.95s in steps of 10ms; v2: whole seconds up to 255s
  preempt            = true         # take over from a master of lower priority; never before every check has run one round, whatever preempt_delay
  preempt_delay      = "0s"         # hold preemption this long after becoming able to; also waits for connection sync to warm up
  startup_delay      = "0s"         # listen this long before the first election
  owner              = false        # must be true for priority 255
  checksum           = "pseudo"     # v3 over IPv4, what is sent: pseudo (keepalived, FRR) | plain (RFC 9568: Cisco, Juniper). Received: both are accepted, the form is counted per peer and a difference logged once
  use_vmac           = false        # own the virtual MAC 00:00:5e:00:01:ID on a macvlan
  source             = ""           # address that multicast adverts are sent from; default: the interface's first (IPv6: its link-local)
  addresses          = ["10.0.0.100/32"]   # required, 1-255; carried in adverts; all of one family (IPv6: the first must be link-local, RFC 9568 5.2.9). "ADDR/LEN" or "ADDR/LEN dev IFACE"
  excluded_addresses = []                   # moved with the others, not carried in adverts; either family
  address_device     = ""           # default: interface
  address_lease      = "auto"       # the addresses are installed with a kernel lifetime and renewed while master, so that a killed, hung or starved daemon loses them by itself; auto = max(3s, 4 intervals + 1s) rounded up | whole seconds (the kernel's unit) >= 2s | "off". Renewed with every advert, at most twice a second
  handover           = true         # on a planned step-down keep serving until the new master is heard and min(advertise_interval, 300ms) more, because it announces only after its first advert (at most one master-down interval in all), then remove the addresses; a master that yields to a higher priority lingers the same min()
  virtual_routes     = []           # example: ["192.0.2.0/24 via 10.0.0.1 dev eth1 src 10.0.0.100 table 100 metric 50"]

  unicast {                         # optional: instead of multicast
    source = "10.0.0.2"             # required
    peers  = ["10.0.0.3"]           # required; adverts from anyone else are refused
    ttl    = 255
    min_ttl = 255                   # refuse what came further than this
  }

  auth "pass" {                     # optional; VRRPv2 clear text, for interop only
    password = "secret"             # required in the block; 1-8 characters
  }
  # Instead of "pass"; wire form of keepalived >= 2.4.2:
  auth "hmac" {                     # sign and verify adverts, with replay protection (not supported yet)
    keys   = { "1" = "file:/etc/holdfast/vrrp.key" }   # 32-64 bytes each; file:PATH, hex:…, or systemd credential cred:NAME
    active = "1"
    mode   = "enforce"              # enforce | permissive (accept unsigned too, to roll it out)
  }

  gratuitous_arp {                  # neighbour announcements: ARP for IPv4, unsolicited NA for IPv6
    burst    = 5                    # at once on becoming master
    repeat   = 5                    # a second burst this many …
    delay    = "5s"                 # … this much later
    refresh  = "60s"                # while master; "0s" turns it off
    interval = "0s"                 # pause between two sent on one interface
    format   = "request"            # request (sender = target = VIP; Linux always honours it) | reply (target MAC = sender MAC) | both
  }

  track_interface "eth1" {          # any number; the virtual router's own interface is always tracked (a link down is fault)
    weight = 0                      # 0: down means fault; negative: added to the priority while down; positive: added while up
  }
  track_script "upstream" {
    command  = ["/usr/lib/holdfast/check-upstream"]    # required; no shell
    interval = "2s"
    timeout  = "1s"
    rise     = 2
    fall     = 2
    weight   = 0
    user     = "nobody"
  }
  track_process "haproxy" {
    name   = "haproxy"              # default: the label
    min    = 1
    weight = 0
  }
  track_file "maintenance" {
    path   = "/etc/holdfast/maintenance"   # present: failed. With content that is an integer: that integer times weight is added to the priority
    weight = 0
  }
  track_service "web" {             # a virtual_server below its quorum
    weight = -50
  }
}

sync_group "edge" {                 # its members are master together or not at all
  members = ["web", "web6"]
}

notify {                            # any number; events in order, one at a time per block
  events  = ["virtual_router", "virtual_address", "failover", "real_server", "virtual_server", "reload"]   # default: all
  command = ["/usr/lib/holdfast/notify"]   # event as JSON on stdin and as HOLDFAST_* in the environment; or:
  webhook = ""                              # POST the same JSON, retried with back-off
  timeout = "10s"
  user    = "nobody"
}

# ---- Balancing ------------------------------------------------------------------------------------------------

connection_sync {                   # optional: the kernel's IPVS sync daemon; master and backup halves follow the roles
  interface = "eth0"                # required
  id        = 51                    # 0-255, the same on both directors; default: the id of the virtual router
  virtual_router = "web"            # whose role it follows; default: the only one
  group     = "224.0.0.81"          # of either family
  port      = 8848
  ttl       = 1
}

timeouts {                          # optional: IPVS connection time-outs
  tcp     = "15m"
  tcp_fin = "2m"
  udp     = "5m"
}

virtual_server "web" {
  address        = "10.0.0.100:80"  # required, or fwmark. IPv6: "[2001:db8::100]:80"; port 0 with persistence: every port
  fwmark         = 0                # instead of address; with family = "ipv4" | "ipv6"
  protocol       = "tcp"            # tcp | udp | sctp
  scheduler      = "wlc"            # rr wrr lc wlc sed nq sh dh mh lblc lblcr fo ovf twos
  scheduler_flags = []              # sh: ["sh-port", "sh-fallback"]; mh: ["mh-port", "mh-fallback"]
  forward        = "nat"            # nat | dr | tunnel; a real_server may say otherwise
  one_packet     = false            # UDP: schedule each packet
  active         = "always"         # always: the standby keeps the table and the checks warm | a virtual_router's name: the service is in the table only while that one is master
  start          = "down"           # down: a real server gets no traffic before its first passed check (one that the last run left up in the table stays) | up
  panic_threshold = 0               # percent: if fewer than this part of the real servers is up, send to all and raise the alarm; 0 turns it off
  on_failure     = "remove"         # remove | inhibit: weight 0, so that existing connections go on
  slow_start     = "0s"             # raise the weight of a returning server over this long
  drain_timeout  = "1m"             # a server taken out by the configuration or an operator keeps its connections at most this long; "0s" cuts them at once

  persistence {                     # optional
    timeout = "5m"
    netmask = "255.255.255.255"     # IPv6: a prefix length
    engine  = ""                    # sip
  }

  quorum {                          # optional
    weight     = 1                  # the service is up while the weights of its up servers add up to this
    hysteresis = 0                  # less than weight: once up, it goes down below weight - hysteresis; once down, it is up from weight + hysteresis on
  }

  sorry_server {                    # optional: gets the traffic while the quorum is lost
    address = "10.0.0.30:80"        # required; port and forward as for a real_server
    forward = "nat"                 # default: the service's
  }

  # Any number of checks; all must pass. In a real_server they replace the service's. Common to all kinds: the attributes
  # from name to via (but port: not icmp, exec; source, via: not exec), and for all but udp, icmp and exec a tls block (see http),
  # whose presence turns TLS on where the scheme does not already say so.
  check "tcp" {
    name     = "tcp"                # default: the kind; required when a kind occurs twice
    interval = "2s"
    timeout  = "1s"                 # for the whole check, from dial to verdict; at most the interval
    rise     = 2                    # passes in a row to come back
    fall     = 3                    # failures in a row to go
    retry_interval = ""             # while a change of verdict is pending; at most the interval; default: interval
    address  = ""                   # default: the real server's own
    port     = 0                    # default: the real server's own
    source   = ""                   # local address; never a virtual address unless said
    via      = "direct"             # direct: to the real server's address | path: the same way as a client's packet (forward = "dr" or "tunnel"; tcp, http, grpc, smtp), so that a missing VIP on lo or the tunnel is found
    send     = ""                   # tcp, udp: sent as it is, or "hex:0d0a" for bytes
    expect   = ""                   # regular expression on what comes back
  }
  check "http" {
    url      = "http://www.example.com/health"   # or path = "/health" with host = "…", scheme = "http" | "https"; where to connect is still the real server
    path     = "/"
    host     = ""
    method   = "GET"
    headers  = {}                   # such as { Accept = "text/plain" }
    body     = ""
    http2    = false                # without TLS: with prior knowledge (h2c)
    status   = ["200-299"]          # codes and ranges, such as [200, "300-399"]
    expect   = ""                   # regular expression on the body
    digest   = ""                   # sha256:… or md5:… of the body
    max_body = 1048576              # bytes read at most
    redirects = false               # follow them, on the same server only
    tls {
      verify      = true
      ca          = ""              # file in PEM; default: the system's
      server_name = ""              # default: host, else the server's address
      certificate = ""              # with key: files in PEM, our own
      key         = ""
      min_version = "1.2"           # 1.0 | 1.1 | 1.2 | 1.3
    }
  }
  check "dns"  {
    name = "."                      # that is asked for; several dns checks are told apart by transport, type and name
    type = "SOA"                    # or a number
    expect = ""
    transport = "udp"               # udp | tcp, by TLS with a tls block
  }
  check "grpc" {
    service = ""                    # of grpc.health.v1; default: the server as a whole
  }
  check "smtp" {
    helo = "localhost"
    starttls = false                # true: go on by TLS, as a tls block says; a tls block alone: TLS from the start
  }
  check "udp"  {
    send   = "hex:00"
    expect = ""                     # set: an answer is required; else only a refusal by ICMP fails
  }
  check "icmp" {}
  check "exec" {                    # HOLDFAST_* in the environment; exit 0 pass, 1 fail, 2-255 pass with weight code-2 when dynamic_weight
    command = ["/usr/lib/holdfast/check-db"]   # required; no shell
    dynamic_weight = false
    user    = "nobody"
  }

  real_server "web1" {
    address = "10.0.0.21:80"        # required; the port defaults to the service's and, with dr or tunnel, must equal it
    weight  = 1                     # 0-65535
    forward = "nat"                 # default: the service's
    tunnel {                        # with forward = "tunnel"
      type     = "ipip"             # ipip | gue | gre
      port     = 0                  # gue
      checksum = "none"             # gue, gre: none | full; gue: remote
    }
    upper_threshold = 0             # connections; 0: none
    lower_threshold = 0
    maintenance = false             # true: drained, whatever the checks say
  }
}
