virtual_router "small" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  priority  = 150
  track_interface "eth1" {
    weight = /* warning: Weight too small: The priority is 150 here and 100 on the peer (testdata/pair/weights/there.hcl:1): weight -20 never leaves less than the peer has. It takes more than 50. */ -20
  }
}
virtual_router "enough" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  priority  = 150
  track_interface "eth1" {
    weight = -51
  }
}
virtual_router "equal" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  priority  = 150
  track_interface "eth1" {
    weight = /* warning: Weight too small: The priority is 150 here and 100 on the peer (testdata/pair/weights/there.hcl:14): weight -50 never leaves less than the peer has. It takes more than 50. */ -50
  }
}
virtual_router "together" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
  priority  = 150
  track_interface "eth1" {
    weight = -20
  }
  track_interface "eth2" {
    weight = -40
  }
}
virtual_router "mirrored" {
  interface = "eth0"
  id        = 55
  addresses = ["10.0.0.104/32"]
  priority  = 100
  track_interface "eth1" {
    weight = -20
  }
}
virtual_router "positive" {
  interface = "eth0"
  id        = 56
  addresses = ["10.0.0.105/32"]
  priority  = 100
  track_interface "eth1" {
    weight = /* warning: Weight too small: The priority is 110 here and 90 on the peer (testdata/pair/weights/there.hcl:35): weight 10 never leaves less than the peer has. It takes more than 20. */ 10
  }
}
virtual_router "stays" {
  interface = "eth0"
  id        = 57
  addresses = ["10.0.0.106/32"]
  priority  = 100
  track_interface "eth1" {
    weight = /* warning: Weight that hands nothing over: The peer has preempt = false (testdata/pair/weights/there.hcl:42): as backup it stays so, however low the priority here. With weight = 0, failure is a fault. */ -20
  }
}
virtual_router "file" {
  interface = "eth0"
  id        = 58
  addresses = ["10.0.0.107/32"]
  priority  = 150
  track_interface "eth1" {
    weight = -20
  }
  track_file "f" {
    path   = "/f"
    weight = -1
  }
}
virtual_router "owner" {
  interface = "eth0"
  id        = 59
  addresses = ["10.0.0.108/32"]
  priority  = 100
  track_interface "eth1" {
    weight = /* warning: Weight too small: The priority is 100 here and 255 on the peer (testdata/pair/weights/there.hcl:57): weight -20 never decides which is higher. */ -20
  }
}
virtual_router "even" {
  interface     = "eth0"
  id            = 60
  priority      = /* warning: Equal priorities: priority is 100 at testdata/pair/weights/there.hcl:62 too: both wait equally long for a silent master, and if both come to be master, the one whose own address is higher stays (RFC 9568 6.4.3). Give the preferred director more. */ 100
  preempt_delay = /* warning: preempt_delay on the wrong director: The priority of the peer (testdata/pair/weights/there.hcl:62) is never the lower one, so this director does not preempt it: preempt_delay belongs there. */ "5s"
  addresses     = ["10.0.0.109/32"]
}
virtual_router "evenly" {
  interface = "eth0"
  id        = 61
  priority  = /* warning: Equal priorities: priority is 100 at testdata/pair/weights/there.hcl:68 too: both wait equally long for a silent master, and if both come to be master, the one whose own address is higher stays (RFC 9568 6.4.3). Give the preferred director more. */ 100
  addresses = ["10.0.0.110/32"]
  track_interface "eth1" {
    weight = -1
  }
}
virtual_router "returns" { # the weight decides whether this one takes over when the other has lost its
  interface = "eth0"
  id        = 62
  priority  = 95
  addresses = ["10.0.0.111/32"]
  track_interface "eth1" {
    weight = -5
  }
}
virtual_router "useless" {
  interface = "eth0"
  id        = 63
  priority  = 95
  addresses = ["10.0.0.112/32"]
  track_interface "eth1" {
    weight = /* warning: Weight too small: The priority is 95 here and 100 on the peer (testdata/pair/weights/there.hcl:82): weight -3 never decides which is higher. */ -3
  }
}
virtual_router "halfway" { # the other one preempts when this one fails
  interface = "eth0"
  id        = 64
  priority  = 100
  preempt   = false
  addresses = ["10.0.0.113/32"]
  track_interface "eth1" {
    weight = -50
  }
}
virtual_router "neither" {
  interface = "eth0"
  id        = 65
  priority  = 100
  preempt   = false
  addresses = ["10.0.0.114/32"]
  track_interface "eth1" {
    weight = /* warning: No effect: With preempt = false nobody takes over from a master whose adverts are heard, however low its priority: weight -50 does not move the addresses. With weight = 0, failure is a fault, which does. */ -50
  }
}
