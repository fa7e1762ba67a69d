virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32", "10.0.0.101/32"]
}
virtual_server "a" {
  address = "10.0.0.100:80"
  check "tcp" {
    address = "2001:db8::21" # of management
    source  = "2001:db8::2"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
    check "icmp" {
      source = /* warning: Source moves: 10.0.0.101 is a virtual address: only the director that holds it can run this check. */ "10.0.0.101"
    }
  }
  real_server "web3" {
    address = "10.0.0.23"
    check "http" {
      address = /* warning: Not the server's address: 10.0.0.100 is a virtual address: the check asks any of the real servers, not the one that it is for. */ "10.0.0.100"
    }
  }
}
virtual_server "b" {
  address = "10.0.0.101:80"
  check "tcp" {
    name    = "address"
    address = /* error: Invalid address: address takes an IP address, not "web1". */ "web1"
    source  = /* error: Invalid source: source takes an IP address, not "eth0". */ "eth0"
  }
  check "tcp" {
    name   = "family-of-the-service"
    source = /* error: Invalid source: source takes an address of the same family as what is checked, IPv4. */ "2001:db8::2"
  }
  check "tcp" {
    name    = "family-of-the-address"
    address = "2001:db8::21"
    source  = /* error: Invalid source: source takes an address of the same family as what is checked, IPv6. */ "10.0.0.2"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
