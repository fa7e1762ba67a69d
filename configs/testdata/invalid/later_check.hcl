virtual_server "web" {
  address = "10.0.0.100:80"
  check "tcp" {
    /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "tls" {}
  }
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
