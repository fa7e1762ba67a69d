virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  preempt_delay      = /* warning: preempt_delay on the wrong director: The priority of the peer (testdata/pair/differ/here.hcl:4) is never the lower one, so this director does not preempt it: preempt_delay belongs there. */ "5s"
  checksum           = "pseudo"
  addresses          = /* warning: Different prefix length: 10.0.0.102/32 is 10.0.0.102/24 at testdata/pair/differ/here.hcl:8. */ ["10.0.0.100/32", "10.0.0.102/32"]
  excluded_addresses = /* warning: Different excluded_addresses: excluded_addresses at testdata/pair/differ/here.hcl:1 lacks 2001:db8::1/64: gone while that director is master. */ ["2001:db8::1/64", "10.0.0.103/32"]
  virtual_routes     = ["192.0.2.0/24 via 10.0.0.2 dev eth1"]
}
virtual_router "a" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.110/32"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 53
  addresses = ["fe80::100/64"]
}
