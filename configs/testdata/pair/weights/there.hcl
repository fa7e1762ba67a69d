virtual_router "small" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "enough" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
}
virtual_router "equal" {
  interface = "eth0"
  id        = 53
  priority  = 100
  addresses = ["10.0.0.102/32"]
}
virtual_router "together" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
}
virtual_router "mirrored" {
  interface = "eth0"
  id        = 55
  addresses = ["10.0.0.104/32"]
  priority  = 90
  track_interface "eth1" {
    weight = -20
  }
}
virtual_router "positive" {
  interface = "eth0"
  id        = 56
  addresses = ["10.0.0.105/32"]
  priority  = 90
}
virtual_router "stays" {
  interface = "eth0"
  id        = 57
  addresses = ["10.0.0.106/32"]
  priority  = 90
  preempt   = false
}
virtual_router "file" {
  interface = "eth0"
  id        = 58
  addresses = ["10.0.0.107/32"]
  track_interface "eth1" {
    weight = -20
  }
}
virtual_router "owner" {
  interface = "eth0"
  id        = 59
  addresses = ["10.0.0.108/32"]
  owner     = true
  priority  = 255
}
virtual_router "even" {
  interface = "eth0"
  id        = 60
  priority  = 100
  addresses = ["10.0.0.109/32"]
}
virtual_router "evenly" {
  interface = "eth0"
  id        = 61
  priority  = 100
  addresses = ["10.0.0.110/32"]
}
virtual_router "returns" {
  interface = "eth0"
  id        = 62
  addresses = ["10.0.0.111/32"]
  track_interface "eth1" {
    weight = -10
  }
}
virtual_router "useless" {
  interface = "eth0"
  id        = 63
  priority  = 100
  addresses = ["10.0.0.112/32"]
  track_interface "eth1" {
    weight = -10
  }
}
virtual_router "halfway" { # what it lost keeps it from preempting
  interface = "eth0"
  id        = 64
  priority  = 90
  preempt   = true
  addresses = ["10.0.0.113/32"]
  track_interface "eth1" {
    weight = -50
  }
}
virtual_router "neither" {
  interface = "eth0"
  id        = 65
  priority  = 90
  preempt   = false
  addresses = ["10.0.0.114/32"]
  track_interface "eth1" {
    weight = /* warning: No effect: With preempt = false nobody takes over from a master whose adverts are heard, however low its priority: weight -50 does not move the addresses. With weight = 0, failure is a fault, which does. */ -50
  }
}
