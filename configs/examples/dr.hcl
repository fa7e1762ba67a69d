# A pair of directors in front of three web servers, by direct routing (DR).
#
# The director that is master holds 10.0.0.100. A client's packet reaches it there, and it hands the packet to a real
# server by changing nothing but the destination MAC. The real server answers the client itself, so the director never
# sees the answers: one director carries many times what it could carry with NAT.
#
# That asks three things of the real servers:
#   - they are on the directors' own network, 10.0.0.0/24;
#   - each has the virtual address too, on lo with /32, and keeps quiet about it (arp_ignore = 1, arp_announce = 2);
#   - they serve the same port as the virtual server: DR cannot map ports.
#
# This file is for the first director. On the second one, write another name and priority = 90; all else is equal.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth0"
  id        = 51 # the same on both directors, and nobody else's on this network
  priority  = 100
  addresses = ["10.0.0.100/32"]
}

virtual_server "web" {
  address   = "10.0.0.100:80"
  forward   = "dr"
  scheduler = "wlc"

  # Asked of each real server every 2 s: 3 failures in a row take it out, 2 passes in a row bring it back.
  check "http" {
    path = "/health"
    host = "www.example.com"
  }

  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2 # twice the connections of the others
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
}

# TLS ends on the real servers, so the check only asks whether the port accepts a connection.
virtual_server "web-tls" {
  address = "10.0.0.100:443"
  forward = "dr"

  check "tcp" {}

  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
}
