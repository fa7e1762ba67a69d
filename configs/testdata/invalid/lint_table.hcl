director {
  manage_sysctls = /* warning: Forwarding is yours to set: virtual_server "elsewhere" uses NAT, for which net.ipv4.ip_forward must be 1 whenever this director runs. */ false
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "other" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
}
virtual_server "elsewhere" {
  address = "10.0.0.100:80"
  active  = /* warning: Active without its address: virtual_router "web" carries 10.0.0.100, not "other": where only that one is master, clients find no service. */ "other"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "right" {
  address = "10.0.0.100:81"
  active  = "web"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "mark" {
  fwmark    = 1
  family    = "ipv4"
  active    = "other"
  scheduler = /* warning: Clients move to other servers: With sh, a change of the real servers or another order on the other director sends clients elsewhere; "mh" keeps nearly all of them where they are. */ "sh"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "persistent" {
  address = "10.0.0.100:82"
  /* warning: Clients move to other servers: A director that takes over does not know where its clients were: a connection_sync block tells it. */ persistence {
    netmask = /* warning: One server for all: With netmask 0 all clients are the same one, which has one real server at a time. */ "0.0.0.0"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "hashed" { # the same server on both directors
  address   = "10.0.0.100:83"
  scheduler = "mh"
  persistence {}
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "rr" {
  address   = "10.0.0.100:84"
  scheduler = /* warning: Weights without effect: rr takes weights above 0 for equal; "wrr" heeds them. */ "rr"
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 0
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
}
virtual_server "dh" {
  address    = "10.0.0.100:85"
  scheduler  = "dh"
  slow_start = /* warning: No effect: The scheduler dh takes weights above 0 for equal. */ "30s"
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 10
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 10
  }
  real_server "web3" {
    address = "10.0.0.23"
    weight  = 0
  }
}
virtual_server "packets" {
  address    = "10.0.0.100:86"
  protocol   = "udp"
  scheduler  = "mh"
  one_packet = /* warning: No effect: With persistence all packets of a client go to one server, unless engine tells them apart. */ true
  persistence {}
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "calls" {
  address    = "10.0.0.100:87"
  protocol   = "udp"
  scheduler  = "mh"
  one_packet = true
  persistence {
    engine = "sip"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "maintenance" {
  address = "10.0.0.100:88"
  quorum {
    weight = /* warning: Quorum out of reach: The weights of all real servers add up to 1, less than 2: the service is never up. */ 2
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address     = "10.0.0.22"
    maintenance = true
  }
}
