virtual_server "single" {
  address         = "10.0.0.100:80"
  panic_threshold = /* warning: Checks without effect: The only real server gets traffic also while it is down. */ 1
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "three" {
  address         = "10.0.0.100:81"
  panic_threshold = /* warning: Checks without effect: While one of 3 real servers is down, 66 % are up, fewer than 67 %: all get traffic, so that none is ever taken out. Write 66 or less. */ 67
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
}
virtual_server "two" {
  address         = "10.0.0.100:82"
  panic_threshold = 50
  slow_start      = "30s"
  on_failure      = "inhibit"
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
virtual_server "never_sorry" {
  address         = "10.0.0.100:88"
  panic_threshold = 50
  /* warning: No effect: While no fewer than 50 % of 3 real servers are up, a quorum of 2 is met, and with fewer all of them get traffic (panic_threshold). Write a quorum weight above 3, or no panic_threshold. */ sorry_server {
    address = "10.0.0.30:80"
  }
  quorum {
    weight = 2
  }
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 2
  }
  real_server "web3" {
    address = "10.0.0.23"
    weight  = 5
  }
}
virtual_server "sorry" {
  address         = "10.0.0.100:89"
  panic_threshold = 50
  sorry_server {
    address = "10.0.0.30:80"
  }
  quorum {
    weight = 3
  }
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = "10.0.0.23"
  }
}
virtual_server "flat" {
  address    = "10.0.0.100:87"
  slow_start = /* warning: No effect: A weight is raised in steps from 1, and no real server has more: multiply all weights, by 10 for example. */ "30s"
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 0
  }
}
virtual_server "unchecked" {
  address         = "10.0.0.100:83"
  panic_threshold = /* warning: No effect: Without a check every real server is up all the time. */ 50
  slow_start      = /* warning: No effect: Without a check every real server is up all the time. */ "30s"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "drained" { # whoever sets a weight to 0 may know that the quorum is lost
  address = "10.0.0.100:84"
  quorum {
    weight = /* warning: Quorum out of reach: The weights of all real servers add up to 1, less than 2: the service is never up. */ 2
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 0
  }
}
virtual_server "dynamic" { # a weight that a check sets may be more than 1
  address    = "10.0.0.100:85"
  slow_start = "30s"
  quorum {
    weight = 1
  }
  check "exec" {
    command        = ["/bin/true"]
    dynamic_weight = true
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "body" {
  address = "10.0.0.100:86"
  check "http" {
    name   = "head-expect"
    method = "HEAD"
    expect = /* warning: Nothing to match: The answer to a HEAD request has no body: expect sees an empty one. */ "ok"
    digest = ""
  }
  check "http" {
    name   = "head-digest"
    method = "HEAD"
    digest = /* warning: Nothing to match: The answer to a HEAD request has no body: digest sees an empty one. */ "md5:d41d8cd98f00b204e9800998ecf8427e"
  }
  check "http" {
    name   = "both"
    expect = /* warning: No effect: digest allows one body only: expect says nothing more. */ "ok"
    digest = "sha256:2689367B205C16CE32ED4200942B8B8B1E262DFC70D9BC9FBC77C49699A4F1DF"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
