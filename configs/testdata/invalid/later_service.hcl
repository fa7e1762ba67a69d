virtual_server "web" {
  address = "10.0.0.100:80"

  /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "real_server" {}

  real_server "web1" {
    address = "10.0.0.21:80"
    /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "check" {}
  }
}
