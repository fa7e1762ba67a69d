virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  priority  = /* warning: Equal priorities: priority is 100 at testdata/pair/priorities/there.hcl:1 too: both wait equally long for a silent master, and if both come to be master, the one whose own address is higher stays (RFC 9568 6.4.3). Give the preferred director more. */ 100
}
/* warning: Equal priorities: priority is 100 at testdata/pair/priorities/there.hcl:6 too: both wait equally long for a silent master, and if both come to be master, the peer, whose address 10.0.0.10 is higher, stays (RFC 9568 6.4.3). Give the preferred director more. */ virtual_router "uni" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.10"]
  }
}
/* warning: Equal priorities: priority is 100 at testdata/pair/priorities/there.hcl:15 too: both wait equally long for a silent master, and if both come to be master, this one, whose address fe80::3 is higher, stays (RFC 9568 6.4.3). Give the preferred director more. */ virtual_router "six" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
  source    = "fe80::3"
}
virtual_router "own" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
  owner     = true
  priority  = /* error: Two address owners: Priority 255 is at testdata/pair/priorities/there.hcl:26 too: both are master as soon as they run. Only one director owns the addresses, if any. */ 255
}
/* warning: Equal priorities: priority is 100 at testdata/pair/priorities/there.hcl:28 too: both wait equally long for a silent master, and if both come to be master, the one whose own address is higher stays (RFC 9568 6.4.3). Give the preferred director more. */ virtual_router "half" {
  interface = "eth0"
  id        = 55
  source    = "10.0.0.2"
  addresses = ["10.0.0.120/32"]
}
