virtual_router "web" { # not compared with half a configuration
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
