virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
