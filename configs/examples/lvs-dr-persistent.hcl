# Direct routing with weights and persistence: what used to be
#
#   ipvsadm -A -t 10.15.144.120:10087 -s wrr -p 60
#   ipvsadm -a -t 10.15.144.120:10087 -r 10.15.144.102 -g -w 2
#   ipvsadm -a -t 10.15.144.120:10087 -r 10.15.144.103 -g -w 1
#   ipvsadm -a -t 10.15.144.120:10087 -r 10.15.144.104 -g -w 1
#
# A client that comes back within 60 s gets the real server that it had. When that server dies it leaves the table and
# the client gets another one.
#
# On the second director: another name and priority = 90.

director {
  name = "lb1"
}

virtual_router "app" {
  interface = "eth0"
  id        = 120
  priority  = 100
  addresses = ["10.15.144.120/32"]
}

# The backup learns which client has which server.
connection_sync {
  interface = "eth0"
  id        = 120
}

virtual_server "app" {
  address   = "10.15.144.120:10087"
  forward   = "dr"
  scheduler = "wrr"

  persistence {
    timeout = "60s"
  }

  check "tcp" {
    interval = "1s"
    timeout  = "500ms"
  }

  real_server "app1" {
    address = "10.15.144.102"
    weight  = 2
  }
  real_server "app2" {
    address = "10.15.144.103"
  }
  real_server "app3" {
    address = "10.15.144.104"
  }
}
