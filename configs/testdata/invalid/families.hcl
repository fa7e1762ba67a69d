virtual_router "global" {
  interface = "eth0"
  id        = 51
  addresses = [/* error: Invalid addresses: addresses begins with a link-local address for IPv6 (RFC 9568 5.2.9): write one such as "fe80::100/64" before 2001:db8::100. */ "2001:db8::100/64"]
}
virtual_router "mixed" {
  interface          = "eth0"
  id                 = 52
  addresses          = ["fe80::100/64", /* error: Invalid addresses: addresses takes addresses of one family: move 10.0.0.100 to excluded_addresses, or give it a virtual_router of its own. */ "10.0.0.100/32"]
  excluded_addresses = ["10.0.0.101/32", /* error: Invalid excluded_addresses: excluded_addresses takes an address with the length of its prefix: write "2001:db8::101/128". */ "2001:db8::101"]
}
virtual_router "zone" {
  interface = "eth0"
  id        = 53
  addresses = [/* error: Invalid addresses: addresses takes an address without a zone. */ "fe80::101%eth0/64"]
}
virtual_router "excluded" {
  interface          = "eth1"
  id                 = 51
  addresses          = ["fe80::100/64"] # another link than the first one's
  excluded_addresses = [/* error: Duplicate virtual address: fe80::100 is already used at testdata/invalid/families.hcl:20. */ "fe80::100/64", "2001:db8::102/64", /* error: Duplicate virtual address: 10.0.0.101 is already used at testdata/invalid/families.hcl:10. */ "10.0.0.101/32"]
  source             = /* error: Invalid source: source takes a link-local address for IPv6 (RFC 9568 5.1.2.1). */ "2001:db8::2"
}
virtual_router "same" {
  interface = "eth1"
  id        = /* error: Duplicate id: id 51 on eth1 for IPv6 is already used at testdata/invalid/families.hcl:19. */ 51
  addresses = ["fe80::103/64"]
  source    = /* error: Invalid source: source takes an IPv6 address, as the virtual router's addresses are. */ "10.0.0.2"
}
virtual_router "four" {
  interface          = "eth1"
  id                 = 51 # another family
  addresses          = ["10.0.0.104/32"]
  excluded_addresses = ["2001:db8::104/64"]
  unicast {
    source = /* error: Invalid source: source takes an IPv4 address, as the virtual router's addresses are. */ "2001:db8::2"
    peers  = [/* error: Invalid peers: peers takes an IPv4 address, as the virtual router's addresses are. */ "2001:db8::3", "10.0.0.3"]
  }
}
virtual_router "six" {
  interface          = "eth1"
  id                 = 52
  addresses          = ["fe80::105/64"]
  excluded_addresses = ["2001:db8::105/64"]
  unicast {
    source = /* error: Invalid source: source takes an address that stays on its director; 2001:db8::105 is a virtual address. */ "2001:db8::105"
    peers  = ["2001:db8::3", "fe80::3"]
  }
}
virtual_router "device" {
  interface          = "eth1"
  id                 = 53
  addresses          = ["fe80::106/64"]
  excluded_addresses = [/* error: Duplicate virtual address: 2001:db8::105 is already used at testdata/invalid/families.hcl:44. */ "2001:db8::105/64 dev eth9"]
}
virtual_router "none" { # what would follow from the missing addresses is not reported
  interface = "eth1"
  id        = 54
  use_vmac  = true
  addresses = /* error: Invalid addresses: addresses takes 1 to 255 addresses, not 0. */ []
  source    = "fe80::2"
}
