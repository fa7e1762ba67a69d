# Direct routing on one LAN, 192.168.1.0/24: directors .2 and .3, real servers .10 to .12. A client's packet reaches the
# director that holds 192.168.1.100; it changes the destination MAC and nothing of the IP header.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth0"
  id        = 100
  priority  = 100
  addresses = ["192.168.1.100/32"]
}

virtual_server "web" {
  address   = "192.168.1.100:80"
  forward   = "dr"
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
