virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}

virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"

  check "tcp" {}

  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
