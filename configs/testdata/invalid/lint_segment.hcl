virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/24", "10.9.0.100/24 dev eth9"]
}
virtual_router "b" {
  interface = "eth0.7"
  id        = /* warning: Same id on one network: virtual_router "a" on eth0 has id 51 too, and 10.0.0.100/24 and 10.0.0.101/25 are in one network: each would take the adverts of the other for those of a peer. */ 51
  use_vmac  = true
  addresses = ["10.0.0.101/25"]
}
virtual_router "elsewhere" {
  interface = "eth2"
  id        = 51
  addresses = ["10.0.0.102/24 dev eth0", "10.9.0.101/24", "10.0.0.103/32"]
}
virtual_router "otherid" {
  interface = "eth3"
  id        = 52
  addresses = ["10.0.0.104/24"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64", "2001:db8::100/64"]
}
virtual_router "six2" { # every link has fe80::/64
  interface = "eth1"
  id        = 51
  addresses = ["fe80::100/64"]
}
virtual_router "six3" {
  interface = "eth2"
  id        = /* warning: Same id on one network: virtual_router "six" on eth0 has id 51 too, and 2001:db8::100/64 and 2001:db8::101/64 are in one network: each would take the adverts of the other for those of a peer. */ 51
  addresses = ["fe80::101/64", "2001:db8::101/64"]
}
virtual_router "unicast" {
  interface = "eth4"
  id        = 51
  addresses = ["10.0.0.105/24"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3", "10.0.0.4"]
  }
}
virtual_router "unicast2" {
  interface = "eth5"
  id        = /* warning: Same id on one network: virtual_router "unicast" on eth4 has id 51 too, and both have the peer 10.0.0.4: each would take the adverts of the other for those of a peer. */ 51
  addresses = ["10.5.0.106/24"]
  unicast {
    source = "10.5.0.2"
    peers  = ["10.0.0.4"]
  }
}
virtual_router "unicast3" {
  interface = "eth6"
  id        = 51
  addresses = ["10.0.0.107/24"]
  unicast {
    source = "10.6.0.2"
    peers  = ["10.6.0.3"]
  }
}
