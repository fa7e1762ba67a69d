virtual_server "both" {
  /* error: Unsupported argument: With fwmark, whatever packet has the mark is the service's: remove address, or fwmark. */ address = "10.0.0.100:80"
  fwmark  = 1
  family  = "ipv4"
  /* error: Unsupported argument: With fwmark, whatever packet has the mark is the service's: remove protocol, or fwmark. */ protocol = "tcp"
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
/* error: Missing family: family is required in this block. */ virtual_server "no-family" {
  fwmark = 2
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
virtual_server "values" {
  fwmark = /* error: Invalid fwmark: fwmark takes a whole number from 0 to 4294967295, not 4294967296. */ 4294967296
  family = "ipv4"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "family-value" {
  fwmark = 3
  family = /* error: Invalid family: family takes one of ipv4, ipv6, not "ip6"; did you mean "ipv6"? */ "ip6"
  real_server "web1" {
    address = "2001:db8::21"
  }
}
virtual_server "family-of-address" {
  address = "10.0.0.100:81"
  fwmark  = 0
  /* error: Unsupported argument: family is for fwmark; an address tells its own. */ family = "ipv4"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "first" {
  fwmark = 4
  family = "ipv4"
  real_server "web1" {
    address = "10.0.0.21:8080" # NAT maps the port that the client asked for
  }
  real_server "web2" {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has: NAT cannot translate between IPv4 and IPv6, a tunnel can carry both. */ "2001:db8::22"
  }
}
virtual_server "first-again" {
  fwmark = /* error: Duplicate service: fwmark 4/ipv4 is already used at testdata/invalid/marks.hcl:39. */ 4
  family = "ipv4"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "first-six" {
  fwmark = 4
  family = "ipv6" # another service
  real_server "web1" {
    address = "2001:db8::21"
  }
}
virtual_server "ports" {
  fwmark  = 5
  family  = "ipv4"
  forward = "dr"
  check /* error: Missing port: real_server "web2" has no port: say which one to ask, with port = 80 for example. */ "tcp" {}
  check "http" {
    port = 80
  }
  check "icmp" {}
  check "exec" {
    command = ["/bin/true"]
  }
  real_server "web1" {
    address = /* error: Invalid address: address takes no port here: DR leaves the IP packet unchanged; write "10.0.0.21", and port = 80 in its checks. */ "10.0.0.21:80"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" { # the same check is reported once
    address = "10.0.0.23"
  }
  real_server "web4" {
    address = "10.0.0.24"
    check /* error: Missing port: real_server "web4" has no port: say which one to ask, with port = 80 for example. */ "tcp" {}
  }
}
virtual_server "persistent" {
  fwmark = 6
  family = "ipv4"
  persistence {}
  real_server "web1" {
    address = /* error: Invalid address: address takes no port here: with persistence the kernel keeps the port that the client asked for; write "10.0.0.21", and port = 80 in its checks. */ "10.0.0.21:80"
  }
}
virtual_server "path" {
  fwmark  = 7
  family  = "ipv4"
  forward = "dr"
  check "tcp" {
    port = 80
    via  = /* error: Invalid via: via takes path only in a service of one address and port: write "direct". */ "path"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
