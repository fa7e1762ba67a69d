# A pair of directors between two networks, by address translation (NAT).
#
# Clients come in on eth0; the real servers are on eth1, 10.10.1.0/24. The director rewrites the destination of what
# comes in and the source of what goes out, so the answers must pass it: the real servers' default gateway is
# 10.10.1.1. That address has to move together with the one that clients use, or the answers would end at a director
# that knows nothing of the connection. So both are addresses of one virtual router, each with its own interface.
#
# The kernel must forward packets (net.ipv4.ip_forward = 1). The real servers need nothing but their gateway.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "edge" {
  interface = "eth0" # where the directors hear each other
  id        = 52
  priority  = 100
  addresses = [
    "192.0.2.10/24",         # for clients, on eth0
    "10.10.1.1/24 dev eth1", # the real servers' gateway
  ]
}

virtual_server "web" {
  address   = "192.0.2.10:80"
  forward   = "nat"
  scheduler = "rr"

  check "http" {
    path   = "/"
    status = ["200-299", "301"]
  }

  # NAT can map ports: clients ask for 80, the servers listen on 8080.
  real_server "app1" {
    address = "10.10.1.11:8080"
  }
  real_server "app2" {
    address = "10.10.1.12:8080"
  }
}

virtual_server "dns" {
  address  = "192.0.2.10:53"
  protocol = "udp"

  # These servers answer on TCP as well, which is what can be checked.
  check "tcp" {
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "ns1" {
    address = "10.10.1.21"
  }
  real_server "ns2" {
    address = "10.10.1.22"

    # A real server's own checks replace the service's.
    check "tcp" {
      port     = 5353
      interval = "1s"
      timeout  = "500ms"
    }
  }
}
