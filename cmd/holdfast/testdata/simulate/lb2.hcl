director {
  name = "lb2"
}

virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 100
  advertise_interval = "200ms"
  addresses          = ["10.0.0.100/32"]

  track_script "upstream" {
    command = ["/usr/lib/holdfast/check-upstream"]
    weight  = -20
  }
  track_interface "eth1" {
    weight = -60
  }
}
