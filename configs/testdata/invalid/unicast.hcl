virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  source    = /* error: Two sources: source is for multicast; with unicast, its source is used. */ "10.0.0.2"
  unicast {
    source = "10.0.0.2"
    peers = [
      /* error: Invalid peers: peers takes the other directors' addresses, not the source itself. */ "10.0.0.2",
      "10.0.0.3",
      /* error: Duplicate peer: 10.0.0.3 is already used at testdata/invalid/unicast.hcl:10. */ "10.0.0.3",
      /* error: Invalid peers: peers takes an address that stays on its director; 10.0.0.100 is a virtual address. */ "10.0.0.100",
      /* error: Invalid peers: peers takes the address of one host, not 224.0.0.18. */ "224.0.0.18",
    ]
    ttl     = /* error: Invalid ttl: ttl takes a whole number from 1 to 255, not 0. */ 0
    min_ttl = /* error: Invalid min_ttl: min_ttl takes a whole number from 1 to 255, not 256. */ 256
  }
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  unicast {
    source = /* error: Invalid source: source takes an address that stays on its director; 10.0.0.101 is a virtual address. */ "10.0.0.101"
    peers  = /* error: Invalid peers: peers takes at least one address. */ []
  }
}
virtual_router "c" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  source    = /* error: Invalid source: source takes an IP address, not "eth0". */ "eth0"
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
    ttl    = /* warning: Adverts that a peer would refuse: ttl 64 is below min_ttl 255: a peer with the same settings refuses what this director sends. */ 64
  }
}
