virtual_server "web" {
  address = "10.0.0.100:80"
  check "tcp" {
    via = /* error: Invalid via: via takes path only with forward = "dr" or "tunnel": nat packets go to the server's own address anyway, write "direct". */ "path"
  }
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}

virtual_server "mail" {
  address = "10.0.0.100:25"
  forward = "dr"
  check "smtp" {
    via     = /* error: Invalid via: via takes path only without address: a client's packet goes to the real server itself. */ "path"
    address = "10.1.0.21"
  }
  check "icmp" {
    via = /* error: Invalid via: via takes path only in checks tcp, http, grpc and smtp, which open a TCP connection: write "direct". */ "path"
  }
  check "http" {
    via = "path"
  }
  real_server "mail1" {
    address = "10.0.0.21:25"
  }
}

virtual_server "names" {
  address  = "10.0.0.100:53"
  protocol = "udp"
  forward  = "dr"
  check "tcp" {
    via = /* error: Invalid via: via takes path only in a service of TCP: write "direct". */ "path"
  }
  real_server "ns1" {
    address = "10.0.0.21:53"
  }
}
