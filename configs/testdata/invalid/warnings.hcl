virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server "a" {
  address   = "10.0.0.100:80"
  scheduler = /* warning: Clients move to other servers: With sh, a change of the real servers or another order on the other director sends clients elsewhere; "mh" keeps nearly all of them where they are. */ "sh"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "b" {
  address = /* warning: Address in no virtual router: No virtual_router carries 10.0.0.101: it does not move when this director fails. */ "10.0.0.101:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
/* warning: No real server: The service refuses every connection until it has a real_server. */ virtual_server "c" {
  address = "10.0.0.100:81"
}
