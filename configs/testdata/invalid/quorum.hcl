virtual_server "values" {
  address         = "10.0.0.100:80"
  panic_threshold = /* error: Invalid panic_threshold: panic_threshold takes a whole number from 0 to 100, not 101. */ 101
  slow_start      = /* error: Invalid slow_start: slow_start takes a text with a unit: write "30s". */ 30
  quorum {
    weight     = /* error: Invalid weight: weight takes a whole number from 1 to 1000000000, not 0. */ 0
    hysteresis = /* error: Invalid hysteresis: hysteresis takes a whole number from 0 to 1000000000, not -1. */ -1
  }
  /* error: Missing address: address is required in this block. */ sorry_server {
    forward = /* error: Invalid forward: forward takes one of nat, dr, tunnel, not "tun". */ "tun"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "never" {
  address = "10.0.0.100:81"
  quorum {
    weight = /* error: Quorum out of reach: The weights of all real servers add up to 3, less than 4: the service is never up. */ 4
  }
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 2
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
virtual_server "not-again" {
  address = "10.0.0.100:82"
  quorum {
    weight     = 2
    hysteresis = /* error: Quorum out of reach: The weights of all real servers add up to 2, less than weight + hysteresis, 3: once lost, the quorum does not come back. */ 1
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
virtual_server "sorry-family" {
  address = "10.0.0.100:87"
  sorry_server {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has: NAT cannot translate between IPv4 and IPv6, a tunnel can carry both. */ "2001:db8::30"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
virtual_server "for-ever" {
  address = "10.0.0.100:83"
  quorum {
    weight     = 2
    hysteresis = /* error: Invalid hysteresis: hysteresis takes less than the weight, 2: else the service stays up without any server. */ 2
  }
  sorry_server {
    address = /* error: Duplicate real server address: 10.0.0.21:83 is already used at testdata/invalid/quorum.hcl:64. */ "10.0.0.21"
  }
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 10
  }
}
virtual_server "by-default" {
  address = "10.0.0.100:84"
  /* warning: Quorum out of reach: The weights of all real servers add up to 0, less than 1: the service is never up. */ quorum {}
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 0
  }
}
virtual_server "sorry-itself" {
  address = "10.0.0.100:85"
  sorry_server {
    address = /* error: Invalid address: address takes another address than the service's own, 10.0.0.100:85: connections and checks would come back to the service. */ "10.0.0.100"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "sorry-port" {
  address = "10.0.0.100:86"
  sorry_server {
    address = /* error: Invalid address: address takes the service's port, 86: DR leaves the IP packet unchanged, so it cannot map ports; forward = "nat" can. */ "10.0.0.30:8080"
    forward = "dr"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
