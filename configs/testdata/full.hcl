director {
  name           = "lb9"
  control_socket = "/tmp/control.sock"
  state_dir      = "/tmp/state"
}
log {
  level  = "debug"
  format = "json"
}
http {
  listen = ""
}
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = (200)
  advertise_interval = "500ms"
  preempt            = false
  startup_delay      = "5s"
  addresses          = ["10.0.0.100/32", "10.1.0.1/24 dev eth1"]
  address_device     = "eth2"
  address_lease      = "30s"
  handover           = false
  unicast {
    source  = "10.0.0.2"
    peers   = ["10.0.0.3"]
    ttl     = 64
    min_ttl = 63
  }
  gratuitous_arp {
    burst    = 3
    repeat   = 2
    delay    = "1s"
    refresh  = "0s"
    interval = "10ms"
    format   = "both"
  }
}
virtual_router "other" {
  interface          = "eth1"
  id                 = 51
  advertise_interval = "10s"
  source             = "10.1.0.2"
  address_lease      = "auto"
  addresses          = ["10.1.0.100/24"]
}
virtual_router "unleased" {
  interface     = "eth1"
  id            = 52
  addresses     = ["10.1.0.101/24"]
  address_lease = "off"
}
virtual_server "web" {
  address         = "10.0.0.100:80"
  scheduler       = "mh"
  scheduler_flags = ["mh-port", "mh-fallback"]
  start           = "up"
  on_failure      = "inhibit"
  check "tcp" {}
  real_server "web1" {
    address = "10.0.0.21:8080"
    weight  = 10
    check "http" {
      name           = "app"
      interval       = "5s"
      timeout        = "3s"
      retry_interval = "4s"
      rise           = 4
      fall           = 5
      port           = 9000
      path           = "/health?full=1"
      host           = "www.example.com"
      status         = ["200-204", 301]
      expect         = "^ok$"
    }
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 0
  }
}
virtual_server "dns6" {
  address  = "[2001:db8::100]:53"
  protocol = "udp"
  forward  = "dr"
  real_server "ns1" {
    address = "2001:db8::21"
  }
}
