# A pair whose script weighs too little: 150-20 is still above 100.
director {
  name = "lb1"
}

virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 150
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
