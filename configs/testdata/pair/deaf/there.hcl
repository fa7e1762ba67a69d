virtual_router "version" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  version   = 2
}
virtual_router "interval" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  version   = 2
}
virtual_router "password" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  version   = 2
  auth "pass" {
    password = "other"
  }
}
virtual_router "nopass" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
  version   = 2
}
virtual_router "transport" {
  interface = "eth0"
  id        = 55
  addresses = ["10.0.0.104/32"]
  unicast {
    source = "10.0.0.3"
    peers  = ["10.0.0.2"]
  }
}
virtual_router "source" {
  interface = "eth0"
  id        = 56
  addresses = ["10.0.0.105/32"]
  unicast {
    source = "10.0.0.3"
    peers  = ["10.0.0.9", "10.0.0.8"]
  }
}
virtual_router "peers" {
  interface = "eth0"
  id        = 57
  addresses = ["10.0.0.106/32"]
  unicast {
    source = /* error: Directors that do not hear each other: 10.0.0.3 is not among the peers at testdata/pair/deaf/here.hcl:51 (10.0.0.4), which refuses its adverts. */ "10.0.0.3"
    peers  = ["10.0.0.2"]
  }
}
virtual_router "same" {
  interface = "eth0"
  id        = 58
  addresses = ["10.0.0.107/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
  }
}
virtual_router "ttl" {
  interface = "eth0"
  id        = 59
  addresses = ["10.0.0.108/32"]
  unicast {
    source = "10.0.0.3"
    peers  = ["10.0.0.2"]
  }
}
virtual_router "one_source" {
  interface = "eth0"
  id        = 60
  source    = "10.0.0.2"
  addresses = ["10.0.0.109/32"]
}
