virtual_server "web" {
  address = "10.0.0.100:80"
}
