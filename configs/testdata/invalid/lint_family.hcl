virtual_router "six" {
  interface = "eth0"
  id        = 51
  checksum  = /* warning: No effect: Only VRRPv3 over IPv4 knows two checksums. */ "plain"
  addresses = ["fe80::100/64"]
  gratuitous_arp {
    format = /* warning: No effect: format is for ARP; IPv6 addresses are announced by neighbour advertisements, which have one form. */ "both"
  }
}
virtual_router "both" {
  interface          = "eth0"
  id                 = 52
  checksum           = "pseudo"
  addresses          = ["fe80::101/64"]
  excluded_addresses = ["10.0.0.100/32"]
  gratuitous_arp {
    format = "both"
  }
}
virtual_router "two" {
  interface = "eth0"
  id        = 53
  version   = 2
  checksum  = /* warning: No effect: Only VRRPv3 over IPv4 knows two checksums. */ "plain"
  addresses = ["10.0.0.101/32"]
}
