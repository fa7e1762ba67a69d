# A pair of directors between two networks that moves as a whole, follows what it depends on, and tells of it.
#
# The addresses of the outer and the inner network belong to two virtual routers, because the directors must hear each
# other on both sides: if one side is cut, the director leaves both to the other.
#
# On the second director: another name, and priority = 90 in both virtual routers. The weights below are larger than the
# difference of 10; a smaller one would change nothing. Members of a sync group have the same weights, for the priority
# of one alone moves nothing.

director {
  name = "lb1"
}

virtual_router "outer" {
  interface     = "eth0"
  id            = 52
  priority      = 100
  preempt_delay = "30s" # come back only when everything has been well for a while
  addresses     = ["192.0.2.10/24"]

  # What moves along without being in the adverts.
  virtual_routes = ["198.51.100.0/24 via 192.0.2.1 src 192.0.2.10"]

  # Is there a way out? Twice no in a row costs 20, twice yes gives them back.
  track_script "upstream" {
    command  = ["/usr/bin/ping", "-c1", "-W1", "198.51.100.1"]
    interval = "3s"
    timeout  = "2s"
    weight   = -20
  }

  # Without its service this director has no use for the addresses: as long as no real server is up.
  track_service "web" {
    weight = -30
  }
}

virtual_router "inner" {
  interface     = "eth1"
  id            = 53
  priority      = 100
  preempt_delay = "30s"
  addresses     = ["10.10.1.1/24"]

  track_script "upstream" {
    command  = ["/usr/bin/ping", "-c1", "-W1", "198.51.100.1"]
    interval = "3s"
    timeout  = "2s"
    weight   = -20
  }
  track_service "web" {
    weight = -30
  }

  # Weight 0, the default: a fault, in which the director takes no part at all. `touch` the file to take it out.
  track_file "maintenance" {
    path = "/etc/holdfast/maintenance"
  }
  track_process "conntrackd" {}
}

sync_group "edge" {
  members = ["outer", "inner"]
}

# A program gets each event as JSON on stdin, one at a time, in order.
notify {
  events  = ["virtual_router", "virtual_server"]
  command = ["/usr/local/bin/page-someone"]
  timeout = "5s"
}

notify {
  webhook = "https://ops.example.com/holdfast"
}

virtual_server "web" {
  address = "192.0.2.10:80"

  check "http" {
    path = "/health"
  }

  real_server "app1" {
    address = "10.10.1.11:8080"
  }
  real_server "app2" {
    address = "10.10.1.12:8080"
  }
}
