director {
  name           = "lb9"
  manage_sysctls = false
  on_exit        = "clear"
  control_group  = "adm"
  drift          = "report"
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "other" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
}
connection_sync {
  interface      = "eth1"
  virtual_router = "other"
  group          = "ff02::81"
  port           = 8849
  ttl            = 3
}
timeouts {
  tcp = "1h"
  udp = "1s"
}
virtual_server "streams" {
  address       = "10.0.0.100:80"
  protocol      = "sctp"
  forward       = "tunnel"
  active        = "web"
  drain_timeout = "0s"
  persistence {
    timeout = "60s"
    netmask = "255.255.255.0"
  }
  sorry_server {
    address = "10.0.0.30"
  }
  real_server "ipip" {
    address         = "10.0.0.21"
    upper_threshold = 100
    lower_threshold = 80
    maintenance     = true
  }
  real_server "gue" {
    address = "10.0.0.22"
    tunnel {
      type     = "gue"
      port     = 6080
      checksum = "remote"
    }
  }
  real_server "gre" {
    address = "10.0.0.23:80"
    tunnel {
      type     = "gre"
      checksum = "full"
    }
  }
  real_server "dr" {
    address = "10.0.0.24"
    forward = "dr"
  }
  real_server "nat" {
    address = "10.0.0.25:8080"
    forward = "nat"
  }
}
virtual_server "calls" {
  fwmark     = 4294967295
  family     = "ipv6"
  one_packet = true
  persistence {
    netmask = 64
    engine  = "sip"
  }
  real_server "sip1" {
    address = "2001:db8::21"
    check "icmp" {}
  }
}
virtual_server "mapped" {
  fwmark = 1
  family = "ipv4"
  real_server "app1" {
    address = "10.0.0.21:8080"
    check "tcp" {}
  }
}
virtual_server "every" {
  address = "10.0.0.100:0"
  forward = "dr"
  persistence {
    netmask = 24
  }
  real_server "web1" {
    address = "10.0.0.21"
    check "tcp" {
      port = 443
    }
  }
}
