virtual_router "a" {
  interface     = "eth0"
  id            = 51
  addresses     = ["10.0.0.100/32"]
  address_lease = /* error: Invalid address_lease: address_lease takes 2s to 1h in steps of 1s, not "1s"; "auto" and "off" are the other choices. */ "1s"
}
virtual_router "b" {
  interface     = "eth0"
  id            = 52
  addresses     = ["10.0.0.101/32"]
  address_lease = /* error: Invalid address_lease: address_lease takes 2s to 1h in steps of 1s, not "2500ms"; "auto" and "off" are the other choices. */ "2500ms"
}
virtual_router "c" {
  interface     = "eth0"
  id            = 53
  addresses     = ["10.0.0.102/32"]
  address_lease = /* warning: Short address_lease: A starved master loses its addresses before a backup takes over, which waits for the master-down interval (3.609s). */ "3s"
}
virtual_router "d" {
  interface          = "eth0"
  id                 = 54
  addresses          = ["10.0.0.103/32"]
  advertise_interval = "5s"
  address_lease      = /* error: Invalid address_lease: The lease is renewed with every advert, so it must be longer than advertise_interval (5s). */ "5s"
}
