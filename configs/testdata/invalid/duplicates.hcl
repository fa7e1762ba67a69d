virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32", /* error: Duplicate virtual address: 10.0.0.100 is already used at testdata/invalid/duplicates.hcl:4. */ "10.0.0.100/24 dev eth1"]
}
virtual_router /* error: Duplicate virtual_router name: "web" is already used at testdata/invalid/duplicates.hcl:1. */ "web" {
  interface = "eth0"
  id        = /* error: Duplicate id: id 51 on eth0 for IPv4 is already used at testdata/invalid/duplicates.hcl:3. */ 51
  addresses = [/* error: Duplicate virtual address: 10.0.0.100 is already used at testdata/invalid/duplicates.hcl:4. */ "10.0.0.100/24"]
}
virtual_router "other" {
  interface = "eth1"
  id        = 51 # another interface
  addresses = ["10.0.1.100/32"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  check "tcp" {
    name = "a"
  }
  check "http" {
    name = /* error: Duplicate check name: "a" is already used at testdata/invalid/duplicates.hcl:19. */ "a"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server /* error: Duplicate real_server name: "web1" is already used at testdata/invalid/duplicates.hcl:24. */ "web1" {
    address = /* error: Duplicate real server address: 10.0.0.21:80 is already used at testdata/invalid/duplicates.hcl:25. */ "10.0.0.21:80"
  }
}
virtual_server /* error: Duplicate virtual_server name: "web" is already used at testdata/invalid/duplicates.hcl:16. */ "web" {
  address = /* error: Duplicate service: 10.0.0.100:80/tcp is already used at testdata/invalid/duplicates.hcl:17. */ "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "udp" {
  address  = "10.0.0.100:80"
  protocol = "udp" # another service
  real_server "web1" {
    address = "10.0.0.21"
  }
}
