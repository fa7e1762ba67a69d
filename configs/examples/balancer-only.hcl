# Balancing and health checks without an election: no virtual_router.
#
# For one director, or for a host that gets its addresses from elsewhere: an anycast route, a cloud's load balancer,
# another VRRP daemon. The address of the service must be on this host; holdfast does not put it there.

http {
  listen = ":9652" # metrics for a Prometheus on another host
}

virtual_server "api" {
  address = "198.51.100.10:8443"
  forward = "nat"

  # mh (Maglev) sends a client to the same real server on every director that has the same real servers, and moves
  # few clients when one of them fails.
  scheduler       = "mh"
  scheduler_flags = ["mh-fallback"]

  # Both must pass: the port accepts connections, and the application says that it is well.
  check "tcp" {
    interval = "500ms"
    timeout  = "250ms"
  }
  check "http" {
    port   = 8080
    path   = "/ready"
    expect = "^ok"
    fall   = 2
  }

  # A server that fails keeps the connections it has: its weight becomes 0 and it stays in the table.
  on_failure = "inhibit"

  real_server "api1" {
    address = "10.20.0.11"
  }
  real_server "api2" {
    address = "10.20.0.12"
  }
}
