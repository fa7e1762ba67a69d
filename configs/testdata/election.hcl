director {
  name     = "lb9"
  realtime = true
}
virtual_router "old" {
  interface          = "eth0"
  id                 = 51
  version            = 2
  advertise_interval = "2s"
  preempt_delay      = "1m"
  addresses          = ["10.0.0.100/24", "10.1.0.100/24 dev eth1"]
  auth "pass" {
    password = "secret12"
  }
  track_interface "eth1" {
    weight = -20
  }
  track_interface "eth2" {}
  track_script "upstream" {
    command  = ["/usr/lib/holdfast/check-upstream", "--fast", ""]
    interval = "5s"
    timeout  = "5s"
    rise     = 3
    fall     = 4
    weight   = 10
    user     = "checker"
  }
  track_script "plain" {
    command = ["/bin/true"]
  }
  track_process "proxy" {
    name   = "haproxy"
    min    = 2
    weight = -254
  }
  track_process "named" {}
  track_file "maintenance" {
    path   = "/etc/holdfast//maintenance"
    weight = -1
  }
  track_service "web" {}
  track_service "mail" {
    weight = 0
  }
}
virtual_router "six" {
  interface          = "eth0"
  id                 = 51
  priority           = 255
  owner              = true
  use_vmac           = true
  checksum           = "plain"
  source             = "fe80::2"
  addresses          = ["fe80::100/64", "2001:db8::100/64", "2001:db8::101/128 dev eth3"]
  excluded_addresses = ["10.0.0.101/32", "2001:db8::102/64 dev eth1"]
  virtual_routes = [
    "default",
    "192.0.2.0/24 via 10.0.0.1 dev eth1 src 10.0.0.101 table 100 metric 50",
    "2001:db8:1::/48 via fe80::1 table 254",
    "198.51.100.7 metric 1",
  ]
}
virtual_router "vmac" {
  interface      = "eth0"
  id             = 52
  use_vmac       = true
  address_device = "eth1"
  addresses      = ["10.0.0.102/24"]
}
virtual_router "uni6" {
  interface = "eth1"
  id        = 51
  addresses = ["fe80::103/64"]
  unicast {
    source = "2001:db8::2"
    peers  = ["2001:db8::3", "fe80::3"]
  }
}
sync_group "edge" {
  members = ["old", "vmac"]
}
sync_group "alone" {
  members = ["six"]
}
notify {
  command = ["/usr/lib/holdfast/notify", "page"]
  events  = ["virtual_router", "reload"]
  timeout = "500ms"
  user    = "ops"
}
notify {
  webhook = "https://user:key@ops.example.com:8443/holdfast?a=b"
}
virtual_server "web" {
  address = "10.0.0.101:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "mail" {
  address = "10.0.0.100:25"
  real_server "mx1" {
    address = "10.0.0.31"
  }
}
