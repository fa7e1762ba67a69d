virtual_router "a" {
  interface = "eth0"
  id        = 51
  priority  = 110
  addresses = ["10.0.0.100/32"]
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  priority  = 110
  addresses = ["10.0.0.101/32"]
}
connection_sync {
  interface      = "eth1"
  id             = /* warning: Connections that do not arrive: id of connection_sync is 7 here and 52 at testdata/pair/sync/there.hcl:13: a sync daemon takes only what bears its own. */ 7
  virtual_router = /* warning: Connections that do not arrive: It follows "a" here and "b" at testdata/pair/sync/there.hcl:15, another virtual router: both directors may send, or neither. */ "a"
  group          = /* warning: Connections that do not arrive: group of connection_sync is 224.0.0.82 here and 224.0.0.81 at testdata/pair/sync/there.hcl:13: a sync daemon takes only what bears its own. */ "224.0.0.82"
  port           = /* warning: Connections that do not arrive: port of connection_sync is 8849 here and 8848 at testdata/pair/sync/there.hcl:13: a sync daemon takes only what bears its own. */ 8849
  ttl            = 2
}
