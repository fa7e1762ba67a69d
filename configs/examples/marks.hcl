# One service for web and TLS: a client that comes back by either port, within 5 minutes, gets the same real server.
#
# The firewall of both directors marks what belongs together, and IPVS balances whatever has the mark:
#
#   nft add table ip lvs
#   nft add chain ip lvs mark '{ type filter hook prerouting priority mangle; }'
#   nft add rule ip lvs mark ip daddr 10.0.0.100 tcp dport '{ 80, 443 }' meta mark set 1
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

# The director that takes over knows which client has which server, and every open connection.
connection_sync {
  interface = "eth0"
}

virtual_server "web" {
  fwmark  = 1
  family  = "ipv4"
  forward = "dr"

  persistence {
    timeout = "5m"
  }

  # A service by mark has no port of its own, so each check says which one it asks.
  check "http" {
    path = "/health"
    port = 80
  }
  check "tcp" {
    port = 443
  }

  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
