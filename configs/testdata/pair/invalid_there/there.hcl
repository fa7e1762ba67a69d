virtual_router "web" {
  interface = "eth0"
  id        = 51
  version   = /* error: Invalid version: version takes a whole number from 2 to 3, not 4. */ 4
  addresses = ["10.0.0.100/32"]
}
