virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
connection_sync {
  interface = "eth0"
}
virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "tunnel"
  real_server "web1" {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has, beside connection_sync (testdata/invalid/mixed_sync.hcl:6): the kernel does not synchronize mixed families. */ "2001:db8::21"
  }
  sorry_server {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has, beside connection_sync (testdata/invalid/mixed_sync.hcl:6): the kernel does not synchronize mixed families. */ "2001:db8::30"
  }
}
