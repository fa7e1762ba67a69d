virtual_router "edge" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32", "10.10.1.1/24 dev eth1"]
}

virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"

  real_server "web1" {
    address = "10.0.0.22"
  }
}

virtual_server "app" {
  address = "10.0.0.100:8080"
  forward = "nat"

  real_server "app1" {
    address = "10.10.1.11"
  }
}
