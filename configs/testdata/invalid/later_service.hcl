virtual_server "marked" {
  /* error: Not supported yet: The argument "fwmark" is not supported yet. */ fwmark = 1
  /* error: Not supported yet: The argument "family" is not supported yet. */ family = "ipv4"
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
virtual_server "web" {
  address   = /* error: Not supported yet: Port 0, which stands for every port, is not supported yet. */ "10.0.0.100:0"
  protocol  = /* error: Not supported yet: "sctp" is not supported yet. */ "sctp"
  forward   = /* error: Not supported yet: "tunnel" is not supported yet. */ "tunnel"
  /* error: Not supported yet: The argument "one_packet" is not supported yet. */ one_packet = false
  /* error: Not supported yet: The argument "active" is not supported yet. */ active = "always"
  /* error: Not supported yet: The argument "drain_timeout" is not supported yet. */ drain_timeout = "1m"

  /* error: Not supported yet: Blocks of type "persistence" are not supported yet. */ persistence {}
  /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "real_server" {}

  real_server "web1" {
    address = "10.0.0.21:80"
    /* error: Not supported yet: The argument "forward" is not supported yet. */ forward = "nat"
    /* error: Not supported yet: The argument "upper_threshold" is not supported yet. */ upper_threshold = 0
    /* error: Not supported yet: The argument "lower_threshold" is not supported yet. */ lower_threshold = 0
    /* error: Not supported yet: The argument "maintenance" is not supported yet. */ maintenance = false
    /* error: Not supported yet: Blocks of type "tunnel" are not supported yet. */ tunnel {}
    /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "check" {}
  }
}
