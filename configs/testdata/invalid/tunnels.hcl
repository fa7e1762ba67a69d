virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "tunnel"
  check "tcp" {
    via = "path"
  }
  real_server "port" {
    address = /* error: Invalid address: address takes the service's port, 80: a tunnel leaves the packet unchanged, so it cannot map ports; forward = "nat" can. */ "10.0.0.21:8080"
  }
  real_server "gue" {
    address = "10.0.0.22"
    /* error: Missing port: port is required with type = "gue": the UDP port on which the real server takes packets. */ tunnel {
      type = "gue"
    }
  }
  real_server "gue-zero" {
    address = "10.0.0.23"
    tunnel {
      type = "gue"
      port = /* error: Invalid port: port takes 1 to 65535 with type = "gue". */ 0
    }
  }
  real_server "ipip" {
    address = "10.0.0.24"
    tunnel {
      port     = /* error: Invalid port: port is for type = "gue"; ipip has none. */ 6080
      checksum = /* error: Invalid checksum: checksum takes "none" with type = "ipip", which has no checksum. */ "full"
    }
  }
  real_server "gre" {
    address = "10.0.0.25"
    tunnel {
      type     = "gre"
      port     = /* error: Invalid port: port is for type = "gue"; gre has none. */ 6080
      checksum = /* error: Invalid checksum: checksum takes "remote" only with type = "gue"; "gre" has none and full. */ "remote"
    }
  }
  real_server "values" {
    address = "10.0.0.26"
    tunnel {
      type     = /* error: Invalid type: type takes one of ipip, gue, gre, not "gree"; did you mean "gre"? */ "gree"
      port     = /* error: Invalid port: port takes a whole number from 0 to 65535, not 65536. */ 65536
      checksum = /* error: Invalid checksum: checksum takes one of none, full, remote, not "csum". */ "csum"
    }
  }
  real_server "gue-value" {
    address = "10.0.0.31"
    tunnel {
      type = "gue"
      port = /* error: Invalid port: port takes a whole number from 0 to 65535, not -1. */ -1
    }
  }
  real_server "nat" {
    address = "10.0.0.27"
    forward = /* error: Contradictory forward: The check "tcp" of the service has via = "path", which takes forward = "dr" or "tunnel": give this server checks of its own. */ "nat"
    /* error: Contradictory tunnel: A tunnel is for forward = "tunnel", not for "nat". */ tunnel {}
  }
  real_server "other" {
    address = /* error: Not supported yet: The check "tcp" has via = "path", which goes through no tunnel between IPv4 and IPv6 yet: give this server checks of its own with "direct". */ "2001:db8::28"
  }
  real_server "other-nat" {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has: NAT cannot translate between IPv4 and IPv6, a tunnel can carry both. */ "2001:db8::29"
    forward = "nat"
    check "tcp" {}
  }
  real_server "twice" {
    address = "10.0.0.30"
    tunnel {}
    /* error: Duplicate tunnel block: Only one tunnel block is allowed. Another was defined at testdata/invalid/tunnels.hcl:68,5-11. */ tunnel {}
  }
}
virtual_server "nat" {
  address = "10.0.0.100:81"
  real_server "value" {
    address = "10.0.0.21"
    forward = /* error: Invalid forward: forward takes one of nat, dr, tunnel, not "masq". */ "masq"
  }
  real_server "mapped" {
    address = /* error: Invalid address: address takes the service's port, 81: DR leaves the IP packet unchanged, so it cannot map ports; forward = "nat" can. */ "10.0.0.22:80"
    forward = "dr"
  }
  sorry_server {
    address = /* error: Invalid address: address takes the service's port, 81: a tunnel leaves the packet unchanged, so it cannot map ports; forward = "nat" can. */ "10.0.0.30:80"
    forward = "tunnel"
  }
}
