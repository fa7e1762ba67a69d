virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  priority  = /* error: Invalid priority: priority takes a whole number from 1 to 255, not 256. */ 256
}
virtual_server "a" {
  address = "10.0.0.100:80" # a warning of the other by itself is not repeated
}
