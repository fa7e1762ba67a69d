virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 100
  addresses = ["10.0.0.100/32"]
}
virtual_server "other-name" {
  address = "10.0.0.100:80"
  real_server "b" {
    address = "10.0.0.22"
  }
  real_server "a" {
    address = "10.0.0.21"
  }
}
/* warning: Only on one director: testdata/pair/services/here.hcl has no virtual_server for 10.0.0.100:91/tcp: clients find no service while that director is master. */ virtual_server "there" {
  address = "10.0.0.100:91"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
/* warning: Different real servers: The service at testdata/pair/services/here.hcl:30 lacks 10.0.0.24:82: no traffic goes there while that director is master. */ virtual_server "hash" {
  address         = "10.0.0.100:82"
  scheduler       = "mh"
  scheduler_flags = ["mh-port"]
  real_server "web5" {
    address = "10.0.0.25"
  }
  real_server "web4" {
    address = "10.0.0.24"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "settings" {
  address   = "10.0.0.100:83"
  protocol  = "udp"
  scheduler = "mh"
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
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
