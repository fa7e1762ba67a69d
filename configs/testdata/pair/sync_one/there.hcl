virtual_router "a" {
  interface = "eth0"
  id        = 51
  priority  = 100
  addresses = ["10.0.0.100/32"]
}
/* warning: Connections that do not arrive: testdata/pair/sync_one/here.hcl has no connection_sync: neither director learns of the other's connections. */ connection_sync {
  interface = "eth1"
}
