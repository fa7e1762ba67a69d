# Real servers in other networks, by each kind of tunnel. They unwrap the packets, have the virtual address, and answer the
# clients themselves.
#
# A tunnel also leads to a real server that can only be reached by the other address family: it still needs the virtual
# address of the service's family. Such a service takes no part in connection_sync.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 100
  addresses = ["10.0.0.100/32"]
}

virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "tunnel"

  check "tcp" {}

  real_server "plain" {
    address = "10.1.0.21" # IP in IP, tunl0 on the real server
  }
  real_server "udp" {
    address = "10.2.0.21"
    tunnel {
      type     = "gue" # passes where only UDP and TCP do
      port     = 6080  # as `ip fou add port 6080 gue` on the real server
      checksum = "full"
    }
  }
  real_server "routed" {
    address = "10.3.0.21"
    tunnel {
      type = "gre"
    }
  }
  real_server "six" {
    address = "2001:db8:4::21"
  }
  real_server "near" {
    address = "10.0.0.21"
    forward = "dr"
  }
}
