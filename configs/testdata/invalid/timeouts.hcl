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
virtual_server "b" {
  address = "10.0.0.100:81"
  check "tcp" {
    name           = "above"
    retry_interval = /* error: Invalid retry_interval: retry_interval must be at most the interval: write "2s" or less. */ "2001ms"
  }
  check "tcp" {
    name           = "below-the-timeout"
    interval       = "10s"
    timeout        = "3s"
    retry_interval = "2s"
  }
  check "tcp" {
    name           = "interval"
    retry_interval = "2s"
  }
  check "tcp" {
    name           = "timeout"
    retry_interval = "1s"
  }
  check "tcp" {
    name           = "one-fault"
    interval       = "1s"
    timeout        = /* error: Invalid timeout: timeout must be at most the interval: write timeout = "1s" or less. */ "2s"
    retry_interval = "3s"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
