virtual_router /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "a b" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "a/b" {
  address = "10.0.0.100:80"
  real_server /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "" {
    address = "10.0.0.21"
  }
}
