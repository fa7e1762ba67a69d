# An election without multicast, for networks that do not carry it: most clouds, some overlays.
#
# Each director names the others, and refuses adverts from anybody else. This is the file of 10.0.0.2; on 10.0.0.3,
# source and peers change places and the priority is 90.

director {
  name = "lb1"
}

virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 100
  advertise_interval = "300ms" # a backup takes over after about three of these
  addresses          = ["10.0.0.100/32"]

  unicast {
    source  = "10.0.0.2"
    peers   = ["10.0.0.3"]
    min_ttl = 255 # from this network only; each router on the way takes one off
  }

  # Tell the switches again more often than every minute.
  gratuitous_arp {
    refresh = "20s"
  }
}

virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"

  check "http" {
    path = "/health"
  }

  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
