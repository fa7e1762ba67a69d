virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]

  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
  }
}
