virtual_server "a" {
  address  = "10.0.0.100:53"
  protocol = "udp"
  /* warning: Passes while the host is off: Without expect only an ICMP error fails the check, which for a host that is off comes after 3s: write an expect, timeout = "4s" with interval = "5s", or a check "icmp" beside it. */ check "udp" {}
  real_server "default" {
    address = "10.0.0.21"
  }
  real_server "as-long" {
    address = "10.0.0.22"
    /* warning: Passes while the host is off: Without expect only an ICMP error fails the check, which for a host that is off comes after 3s: write an expect, timeout = "4s" with interval = "5s", or a check "icmp" beside it. */ check "udp" {
      interval = "5s"
      timeout  = "3s"
    }
  }
  real_server "longer" {
    address = "10.0.0.23"
    check "udp" {
      interval = "5s"
      timeout  = "4s"
    }
  }
  real_server "answers" {
    address = "10.0.0.24"
    check "udp" {
      expect = "."
    }
  }
  real_server "another-check" {
    address = "10.0.0.25"
    check "udp" {}
    check "icmp" {}
  }
}

virtual_server "b" {
  address = "10.0.0.100:80"
  check "http" {
    name      = "listed"
    status    = /* warning: Redirect not followed: An answer that status lists passes as it is, so a redirect with 301 is not followed. */ ["200-399"]
    redirects = true
  }
  check "http" {
    name      = "not-modified"
    status    = [200, 304]
    redirects = true
  }
  check "http" {
    name   = "none-to-follow"
    status = ["200-399"]
  }
  real_server "web1" {
    address = "10.0.0.26"
  }
}
