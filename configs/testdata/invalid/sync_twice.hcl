virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
connection_sync {
  interface = "eth0"
}
/* error: Duplicate connection_sync block: Only one connection_sync block is allowed. Another was defined at testdata/invalid/sync_twice.hcl:6,1-16. */ connection_sync {
  interface = "eth1"
}
timeouts {}
/* error: Duplicate timeouts block: Only one timeouts block is allowed. Another was defined at testdata/invalid/sync_twice.hcl:12,1-9. */ timeouts {
  tcp = "1s"
}
