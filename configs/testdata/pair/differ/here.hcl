virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 110
  advertise_interval = /* warning: Different advertise_interval: advertise_interval is 500ms here and 1s at testdata/pair/differ/there.hcl:1: how soon a failure is noticed depends on who is master. */ "500ms"
  checksum           = /* warning: Different checksum: checksum is plain here and pseudo at testdata/pair/differ/there.hcl:5: both directors take both, other routers may not. */ "plain"
  use_vmac           = /* warning: Different use_vmac: use_vmac is true here and false at testdata/pair/differ/there.hcl:1: the addresses change their MAC with each move. */ true
  addresses          = /* warning: Different addresses: addresses at testdata/pair/differ/there.hcl:6 lacks 10.0.0.101/32: gone while that director is master. */ /* warning: Different addresses: 10.0.0.103/32 is among excluded_addresses at testdata/pair/differ/there.hcl:7: it moves, but only these adverts carry it. */ ["10.0.0.100/32", "10.0.0.101/32", "10.0.0.102/24", "10.0.0.103/32"]
  virtual_routes     = /* warning: Different virtual_routes: virtual_routes at testdata/pair/differ/there.hcl:8 lacks 198.51.100.0/24 table 7: gone while that director is master. */ ["192.0.2.0/24 via 10.0.0.1", "198.51.100.0/24 table 7"]
}
virtual_router "a" {
  interface = "eth0"
  id        = 52
  priority  = 110
  addresses = ["10.0.0.110/32"]
}
/* warning: Different sync groups: testdata/pair/differ/there.hcl has no sync_group of the same members: there they move one by one, and each that moves alone takes the others along here. */ sync_group "edge" {
  members = ["web", "a"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 53
  priority  = 110
  checksum  = /* warning: No effect: Only VRRPv3 over IPv4 knows two checksums. */ "plain"
  addresses = ["fe80::100/64"]
}
