director {
  name = "lb1"
}
/* warning: Only on one director: testdata/pair/alone/here.hcl has no virtual_router with id 52 for IPv4: nobody takes over when this director fails. "web" there has id 51 for IPv4 (testdata/pair/alone/here.hcl:6). */ virtual_router "web" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.100/32"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
}
/* warning: Only on one director: testdata/pair/alone/here.hcl has no virtual_router with id 53 for IPv4: nobody takes over when this director fails. */ virtual_router "other" {
  interface = "eth1"
  id        = 53
  addresses = ["10.0.1.102/32"]
}
virtual_router "close" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
}
