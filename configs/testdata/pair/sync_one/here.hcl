virtual_router "a" {
  interface = "eth0"
  id        = 51
  priority  = 110
  addresses = ["10.0.0.100/32"]
}
