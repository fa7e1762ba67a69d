virtual_server "a" {
  address = "10.0.0.100:80"
  check "tcp" {
    timeout = /* error: Invalid timeout: timeout must be at most the interval: write timeout = "2s" or less. */ "3s"
  }
  check "http" {
    interval = /* error: Invalid timeout: timeout is 1s unless set, and must be at most the interval: write timeout = "500ms" or less. */ "500ms"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
