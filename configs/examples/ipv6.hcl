# A pair of directors for IPv4 and IPv6.
#
# An election is of one address family, so there are two virtual routers; a sync group keeps both on one director. The
# first address of an IPv6 virtual router is link-local: it is what hosts may use as their gateway, and what the adverts
# are about. The others are those that clients use.
#
# On the second director: another name, and priority = 90 in both virtual routers.
#
# holdfast check -c lb1.hcl --peer lb2.hcl shows what differs between the two.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 100
  addresses = ["192.0.2.10/24"]
}

virtual_router "web6" {
  interface = "eth0"
  id        = 51 # ids are counted by family
  priority  = 100
  addresses = [
    "fe80::100/64",
    "2001:db8::10/64",
  ]
}

sync_group "web" {
  members = ["web", "web6"]
}

virtual_server "web" {
  address = "192.0.2.10:80"

  check "tcp" {}

  real_server "web1" {
    address = "10.10.1.11"
  }
  real_server "web2" {
    address = "10.10.1.12"
  }
}

virtual_server "web6" {
  address = "[2001:db8::10]:80"

  check "tcp" {}

  real_server "web1" {
    address = "2001:db8:1::11"
  }
  real_server "web2" {
    address = "2001:db8:1::12"
  }
}
