# Direct routing with two real servers: what used to be
#
#   ipvsadm -A -t 192.168.1.241:80 -s rr
#   ipvsadm -a -t 192.168.1.241:80 -r 192.168.1.200 -g
#   ipvsadm -a -t 192.168.1.241:80 -r 192.168.1.201 -g
#
# and a script on each real server that puts 192.168.1.241/32 on lo and keeps the server from answering ARP for it.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface = "eth0"
  id        = 241
  priority  = 100
  addresses = ["192.168.1.241/32"]
}

virtual_server "web" {
  address   = "192.168.1.241:80"
  forward   = "dr"
  scheduler = "rr"

  check "http" {
    path     = "/"
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "web1" {
    address = "192.168.1.200"
  }
  real_server "web2" {
    address = "192.168.1.201"
  }
}
