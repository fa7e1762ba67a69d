director {
  name = /* warning: Same director name: The peer is called "lb1" too (testdata/pair/alone/there.hcl:2): logs, metrics and events would not tell one from the other. */ "lb1"
}
/* warning: Only on one director: testdata/pair/alone/there.hcl has no virtual_router with id 51 for IPv4: nobody takes over when this director fails. "web" there has id 52 for IPv4 (testdata/pair/alone/there.hcl:6). */ virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
  priority  = 110
}
virtual_router "twin" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  priority  = 90
}
