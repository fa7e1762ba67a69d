/* error: Directors that do not hear each other: Version 3 here, version 2 at testdata/pair/deaf/there.hcl:5: each refuses the adverts of the other, and both are master. */ virtual_router "version" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "interval" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  version   = 2
  advertise_interval = /* error: Directors that do not hear each other: VRRPv2 with advertise_interval 2s here, 1s at testdata/pair/deaf/there.hcl:7: each refuses the adverts of the other, and both are master. */ "2s"
}
virtual_router "password" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  version   = 2
  auth "pass" {
    password = /* error: Directors that do not hear each other: The password differs from that at testdata/pair/deaf/there.hcl:19: each refuses the adverts of the other, and both are master. */ "secret"
  }
}
virtual_router "nopass" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
  version   = 2
  auth "pass" {
    password = /* error: Directors that do not hear each other: The password differs from that at testdata/pair/deaf/there.hcl:22: each refuses the adverts of the other, and both are master. */ "secret"
  }
}
/* error: Directors that do not hear each other: Adverts by multicast here, by unicast at testdata/pair/deaf/there.hcl:32: neither hears the other, and both are master. */ virtual_router "transport" {
  interface = "eth0"
  id        = 55
  addresses = ["10.0.0.104/32"]
}
virtual_router "source" {
  interface = "eth0"
  id        = 56
  addresses = ["10.0.0.105/32"]
  unicast {
    source = /* error: Directors that do not hear each other: 10.0.0.2 is not among the peers at testdata/pair/deaf/there.hcl:43 (10.0.0.9, 10.0.0.8), which refuses its adverts. */ "10.0.0.2"
    peers  = ["10.0.0.3"]
  }
}
virtual_router "peers" {
  interface = "eth0"
  id        = 57
  addresses = ["10.0.0.106/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.4"]
  }
}
virtual_router "same" {
  interface = "eth0"
  id        = 58
  addresses = ["10.0.0.107/32"]
  unicast {
    source = /* error: Directors that do not hear each other: 10.0.0.2 is also the source at testdata/pair/deaf/there.hcl:60: write each director's own address. */ "10.0.0.2"
    peers  = ["10.0.0.3"]
  }
}
virtual_router "ttl" {
  interface = "eth0"
  id        = 59
  addresses = ["10.0.0.108/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
    ttl     = /* error: Directors that do not hear each other: ttl 64 is below min_ttl 255 at testdata/pair/deaf/there.hcl:68, which refuses the adverts. */ 64
    min_ttl = 1
  }
}
virtual_router "one_source" {
  interface = "eth0"
  id        = 60
  source    = /* error: Directors that do not hear each other: 10.0.0.2 is also the source at testdata/pair/deaf/there.hcl:76: write each director's own address. */ "10.0.0.2"
  addresses = ["10.0.0.109/32"]
}
