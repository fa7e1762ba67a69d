# Address translation between an outer network on eth0, 10.15.144.0/24, and an inner one on eth1, 192.168.1.0/24, and
# with port mapping: what used to be
#
#   ipvsadm -A -t 192.168.1.231:80 -s rr
#   ipvsadm -a -t 192.168.1.231:80 -r 192.168.1.200:80 -m
#   ipvsadm -a -t 192.168.1.231:80 -r 192.168.1.201:80 -m
#   ipvsadm -A -t 10.15.144.71:80 -s rr
#   ipvsadm -a -t 10.15.144.71:80 -r 192.168.1.12:10012 -m
#
# The real servers' default gateway is 192.168.1.230, the address of the director that used to have no second one. Now it
# moves with the virtual addresses.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "edge" {
  interface = "eth0"
  id        = 231
  priority  = 100
  addresses = [
    "10.15.144.71/32",
    "192.168.1.231/32",
    "192.168.1.230/32 dev eth1", # the real servers' gateway
  ]
}

virtual_server "web" {
  address   = "192.168.1.231:80"
  forward   = "nat"
  scheduler = "rr"

  check "http" {
    path     = "/"
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "web1" {
    address = "192.168.1.200:80"
  }
  real_server "web2" {
    address = "192.168.1.201:80"
  }
}

virtual_server "mapped" {
  address   = "10.15.144.71:80"
  forward   = "nat"
  scheduler = "rr"

  check "tcp" {
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "app" {
    address = "192.168.1.12:10012"
  }
}
