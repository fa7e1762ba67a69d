# Tunnels across networks: clients come in on eth1 for 202.10.1.101; the director wraps their packets in a second IP header
# and sends them by eth0 to real servers anywhere, which have the virtual address on tunl0 and answer the clients by their
# own way out.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth1"
  id        = 101
  priority  = 100
  addresses = ["202.10.1.101/32"]
}

virtual_server "web" {
  address   = "202.10.1.101:80"
  forward   = "tunnel"
  scheduler = "rr"

  check "http" {
    path     = "/"
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "web1" {
    address = "192.168.1.10"
  }
  real_server "web2" {
    address = "192.168.1.11"
  }
}
