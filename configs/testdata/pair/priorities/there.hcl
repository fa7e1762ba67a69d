virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "uni" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  unicast {
    source = "10.0.0.10"
    peers  = ["10.0.0.2"]
  }
}
virtual_router "six" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
  source    = "fe80::2"
}
virtual_router "own" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.103/32"]
  owner     = true
  priority  = 255
}
virtual_router "half" {
  interface = "eth0"
  id        = 55
  addresses = ["10.0.0.120/32"]
}
