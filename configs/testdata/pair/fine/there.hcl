director {
  name = "lb2"
}
virtual_router "six" {
  interface = "ens3"
  id        = 51
  priority  = 100
  addresses = ["fe80::100/64"]
}
virtual_router "four" {
  interface      = "ens3"
  id             = 51
  priority       = 100
  addresses      = ["10.0.0.101/32", "10.0.0.100/32 dev ens4"] # in another order
  address_lease  = "off"
  unicast {
    source = "10.0.0.3"
    peers  = ["10.0.0.4", "10.0.0.2"]
  }
}
sync_group "both" {
  members = ["six", "four"]
}
virtual_router "alone" {
  interface = "eth2"
  id        = 9
  addresses = ["10.9.0.100/32"]
}
