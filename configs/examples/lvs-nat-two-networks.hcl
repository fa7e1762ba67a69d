# Address translation for clients on eth1, 192.168.10.0/24, who ask for 192.168.10.100, and real servers on eth0,
# 192.168.1.0/24, whose gateway is 192.168.1.100. Both addresses used to be those of the only director; now they move
# together.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth1"
  id        = 10
  priority  = 100
  addresses = [
    "192.168.10.100/32",
    "192.168.1.100/32 dev eth0", # the real servers' gateway
  ]
}

virtual_server "web" {
  address   = "192.168.10.100:80"
  forward   = "nat"
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
  real_server "web3" {
    address = "192.168.1.12"
  }
}
