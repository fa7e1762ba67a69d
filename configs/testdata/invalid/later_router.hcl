virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]

  auth /* error: Not supported yet: auth "hmac" is not supported yet. */ "hmac" {
    keys = { "1" = "file:/etc/holdfast/vrrp.key" }
  }
}
