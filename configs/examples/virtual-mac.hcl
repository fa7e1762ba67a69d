# A pair of directors whose virtual address keeps its MAC address when it moves.
#
# Without use_vmac the addresses get the MAC of the director's own interface, and hosts learn the new one by gratuitous
# ARP. With it they are on a macvlan with 00:00:5e:00:01:ID (RFC 9568 7.3), which moves with them: for hosts and switches
# that take no notice of gratuitous ARP. The network must allow a second MAC on the port; many clouds and hypervisors
# do not.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "gateway" {
  interface = "eth1"
  id        = 60 # 00:00:5e:00:01:3c
  priority  = 100
  use_vmac  = true
  addresses = ["10.10.1.1/24"]

  # Moves along but is not in the adverts; the IPv6 one could not be, in an IPv4 election.
  excluded_addresses = [
    "10.10.2.1/24 dev eth2",
    "2001:db8:2::1/64 dev eth2",
  ]
}

virtual_server "dns" {
  address  = "10.10.1.1:53"
  protocol = "udp"

  check "tcp" {}

  real_server "ns1" {
    address = "10.20.0.11"
  }
  real_server "ns2" {
    address = "10.20.0.12"
  }
}
