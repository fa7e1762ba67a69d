virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 90
  addresses = ["10.0.0.100/32"]

  unicast {
    source = "10.0.0.4"
    peers  = ["10.0.0.2"]
  }
}
