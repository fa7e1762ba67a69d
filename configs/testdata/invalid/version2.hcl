virtual_router "seconds" {
  interface          = "eth0"
  id                 = 51
  version            = 2
  advertise_interval = /* error: Invalid advertise_interval: advertise_interval takes 1s to 4m15s in steps of 1s, not "500ms"; VRRPv2 counts whole seconds. */ "500ms"
  addresses          = ["10.0.0.100/32"]
}
virtual_router "long" {
  interface          = "eth0"
  id                 = 52
  version            = 2
  advertise_interval = /* error: Invalid advertise_interval: advertise_interval takes 1s to 4m15s in steps of 1s, not "256s"; VRRPv2 counts whole seconds. */ "256s"
  addresses          = ["10.0.0.101/32"]
}
virtual_router "six" {
  interface = "eth0"
  id        = 53
  version   = /* error: Invalid version: VRRPv2 is for IPv4 only (RFC 3768): IPv6 takes version = 3. */ 2
  addresses = ["fe80::100/64"]
}
virtual_router "short" { # the skew of version 2 is in seconds, not in intervals
  interface          = "eth0"
  id                 = 54
  version            = 2
  advertise_interval = "10s"
  address_lease      = /* warning: Short address_lease: A starved master loses its addresses before a backup takes over, which waits for the master-down interval (30.609s). */ "30s"
  addresses          = ["10.0.0.102/32"]
}
virtual_router "enough" {
  interface          = "eth0"
  id                 = 55
  version            = 2
  advertise_interval = "10s"
  address_lease      = "31s"
  addresses          = ["10.0.0.103/32"]
}
