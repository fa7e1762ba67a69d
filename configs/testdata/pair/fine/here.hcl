director {
  name = "lb1"
}
virtual_router "web" {
  interface     = "eth0"
  id            = 51
  priority      = 110
  preempt_delay = "5s"
  addresses     = ["10.0.0.100/32", "10.0.0.101/32 dev eth1"]
  address_lease = "10s"
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3", "10.0.0.4"]
  }
  track_interface "eth1" {
    weight = -20
  }
}
virtual_router "web6" {
  priority  = 110
  preempt_delay = "5s"
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
  track_interface "eth1" {
    weight = -20
  }
}
sync_group "edge" {
  members = ["web", "web6"]
}
virtual_router "alone" {
  interface = "eth2"
  id        = 9
  priority  = 110
  addresses = ["10.9.0.100/32"]
}
sync_group "one" { # moves as it would without
  members = ["alone"]
}
