virtual_router "a" {
  interface = "eth0"
  id        = 51
  priority  = 100
  addresses = ["10.0.0.100/32"]
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  priority  = 100
  addresses = ["10.0.0.101/32"]
}
connection_sync {
  interface      = "ens4"
  virtual_router = "b"
}
