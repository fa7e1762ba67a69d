virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  version   = /* error: Not supported yet: version = 2 (VRRPv2) is not supported yet. */ 2
  priority  = /* error: Not supported yet: priority = 255, the address owner's, is not supported yet. */ 255
  /* error: Not supported yet: The argument "preempt_delay" is not supported yet. */ preempt_delay = "0s"
  /* error: Not supported yet: The argument "owner" is not supported yet. */ owner = true
  /* error: Not supported yet: The argument "checksum" is not supported yet. */ checksum = "pseudo"
  /* error: Not supported yet: The argument "use_vmac" is not supported yet. */ use_vmac = false
  /* error: Not supported yet: The argument "excluded_addresses" is not supported yet. */ excluded_addresses = []
  /* error: Not supported yet: The argument "virtual_routes" is not supported yet. */ virtual_routes = []

  /* error: Not supported yet: Blocks of type "auth" are not supported yet. */ auth "pass" {
    password = "secret"
  }
  /* error: Not supported yet: Blocks of type "track_interface" are not supported yet. */ track_interface "eth1" {}
  /* error: Not supported yet: Blocks of type "track_interface" are not supported yet. */ track_interface "eth2" {}
  /* error: Not supported yet: Blocks of type "track_script" are not supported yet. */ track_script "upstream" {}
  /* error: Not supported yet: Blocks of type "track_process" are not supported yet. */ track_process "haproxy" {}
  /* error: Not supported yet: Blocks of type "track_file" are not supported yet. */ track_file "maintenance" {}
  /* error: Not supported yet: Blocks of type "track_service" are not supported yet. */ track_service "web" {}
  /* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "track_interface" {}
}
virtual_router "web6" {
  interface = "eth0"
  id        = 52
  addresses = [/* error: Not supported yet: IPv6 virtual routers are not supported yet. */ "fe80::100/64", /* error: Not supported yet: IPv6 virtual routers are not supported yet. */ "2001:db8::100/128 dev eth1"]
  unicast {
    source = /* error: Not supported yet: IPv6 virtual routers are not supported yet. */ "2001:db8::2"
    peers  = [/* error: Not supported yet: IPv6 virtual routers are not supported yet. */ "2001:db8::3"]
  }
}
