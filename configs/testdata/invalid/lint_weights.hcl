virtual_router "owner" {
  interface = "eth0"
  id        = 51
  priority  = 255
  owner     = true
  preempt   = /* warning: No effect: An address owner always preempts (RFC 9568 6.1). */ false
  addresses = ["10.0.0.100/32"]
  track_interface "eth1" {
    weight = /* warning: No effect: Trackers do not change the priority of an address owner, 255. With weight = 0, failure is a fault. */ -20
  }
  track_interface "eth2" {} # a fault
}
virtual_router "owner2" {
  interface     = "eth0"
  id            = 52
  priority      = 255
  owner         = true
  preempt_delay = /* warning: Hardly an effect: An address owner is master as soon as it runs (RFC 9568 6.4.1): preempt_delay is for the others. */ "5s"
  addresses     = ["10.0.0.101/32"]
}
virtual_router "stay" {
  interface     = "eth0"
  id            = 53
  preempt       = false
  preempt_delay = /* warning: No effect: With preempt = false there is nothing to delay: remove one of both. */ "5s"
  addresses     = ["10.0.0.102/32"]
  track_file "maintenance" {
    path   = "/etc/holdfast/maintenance"
    weight = /* warning: No effect: With preempt = false nobody takes over from a master whose adverts are heard, however low its priority: weight -20 does not move the addresses. With weight = 0, failure is a fault, which does. */ -20
  }
  track_service /* warning: No effect: With preempt = false nobody takes over from a master whose adverts are heard, however low its priority: weight -50 does not move the addresses. With weight = 0, failure is a fault, which does. */ "web" {}
  track_process "haproxy" {}
}
virtual_router "lowest" {
  interface = "eth0"
  id        = 54
  priority  = 1
  addresses = ["10.0.0.103/32"]
  track_interface "eth1" {
    weight = /* warning: No effect: While all else is well the priority is 1 with and without weight -254: it stays from 1 to 254. */ -254
  }
}
virtual_router "highest" {
  interface = "eth0"
  id        = 55
  priority  = 254
  addresses = ["10.0.0.104/32"]
  track_interface "eth1" {
    weight = /* warning: No effect: While all else is well the priority is 254 with and without weight 20: it stays from 1 to 254. */ 20
  }
  track_interface "eth2" {
    weight = /* warning: Weight partly lost: The priority would be 274, but stays from 1 to 254: of weight -30 only 10 count. */ -30
  }
}
virtual_router "low" {
  interface = "eth0"
  id        = 56
  priority  = 30
  addresses = ["10.0.0.105/32"]
  track_service /* warning: Weight partly lost: The priority would be -20, but stays from 1 to 254: of weight -50 only 29 count. */ "web" {}
  track_interface "eth1" {
    weight = -29
  }
  track_interface "eth2" {
    weight = -254 # whoever writes this means 1
  }
  track_file "maintenance" {
    path   = "/etc/holdfast/maintenance"
    weight = -50 # times what the file says
  }
}
virtual_router "high" {
  interface = "eth0"
  id        = 57
  priority  = 240
  addresses = ["10.0.0.106/32"]
  track_interface "eth1" {
    weight = /* warning: Weight partly lost: The priority would be 260, but stays from 1 to 254: of weight 10 only 4 count. */ 10
  }
  track_interface "eth2" {
    weight = /* warning: Weight partly lost: The priority would be 260, but stays from 1 to 254: of weight 10 only 4 count. */ 10
  }
}
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
