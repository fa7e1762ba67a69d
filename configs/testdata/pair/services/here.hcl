virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 110
  addresses = ["10.0.0.100/32"]
}
virtual_server "same" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2 # with wlc, it changes no client's server
  }
  real_server "web2" {
    address     = "10.0.0.22"
    maintenance = true
  }
}
/* warning: Only on one director: testdata/pair/services/there.hcl has no virtual_server for 10.0.0.100:81/tcp: clients find no service while that director is master. */ virtual_server "here" {
  address = "10.0.0.100:81"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "mine" { # on an address that does not move
  address = /* warning: Address in no virtual router: No virtual_router carries 10.0.0.2: it does not move when this director fails. */ "10.0.0.2:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
/* warning: Different real servers: The service at testdata/pair/services/there.hcl:22 lacks 10.0.0.22:82, 10.0.0.23:82: no traffic goes there while that director is master. */ virtual_server "hash" {
  address         = "10.0.0.100:82"
  scheduler       = "mh"
  scheduler_flags = ["mh-port"]
  real_server "web1" {
    address = "10.0.0.21"
    weight  = /* warning: Different weight: weight is 2 here and 1 at testdata/pair/services/there.hcl:32: with mh, a failover sends clients to other servers. */ 2
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
  real_server "web5" {
    address = "10.0.0.25"
  }
}
virtual_server "settings" {
  address    = "10.0.0.100:83"
  protocol   = "udp"
  scheduler  = /* warning: Different scheduler: scheduler is mh -b mh-port here and mh at testdata/pair/services/there.hcl:39: a failover changes which server a client gets. */ "mh"
  scheduler_flags = ["mh-port"]
  one_packet = /* warning: Different one_packet: one_packet is true here and false at testdata/pair/services/there.hcl:36: a failover changes which server a client gets. */ true
  active     = /* warning: Different active: active is the role of a virtual router here and always at testdata/pair/services/there.hcl:36: only one of both keeps its table while it is not master. */ "web"
  /* warning: Different persistence: It is 5m for /24 by sip here and none at testdata/pair/services/there.hcl:36: a failover changes which server a client gets. */ persistence {
    netmask = 24
    engine  = "sip"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "ways" {
  fwmark  = 1
  family  = "ipv4"
  forward = "tunnel"
  real_server "web1" {
    address = "10.0.0.21"
    forward = /* warning: Different forward: 10.0.0.21:0 gets packets by dr here and by ipip tunnel (port 0, checksum none) at testdata/pair/services/there.hcl:48: it must take both. */ "dr"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
