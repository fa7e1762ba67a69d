virtual_server "dr" {
  address = "10.0.0.100:80"
  forward = "dr"
  real_server "web1" {
    address = /* error: Invalid address: address takes the service's port, 80: DR leaves the IP packet unchanged, so it cannot map ports; forward = "nat" can. */ "10.0.0.21:8080"
  }
  real_server "web2" {
    address = /* error: Invalid address: address takes an IPv4 address, as the service has: DR cannot translate between IPv4 and IPv6, a tunnel can carry both. */ "2001:db8::22"
  }
}
virtual_server "nat6" {
  address = "[2001:db8::100]:80"
  real_server "web1" {
    address = /* error: Invalid address: address takes an IPv6 address, as the service has: NAT cannot translate between IPv4 and IPv6, a tunnel can carry both. */ "10.0.0.21"
  }
  real_server "web2" {
    address = "[2001:db8::22]:8080"
  }
  real_server "web3" {
    address = /* error: Invalid address: address takes an address without a zone. */ "fe80::23%eth0"
  }
}
