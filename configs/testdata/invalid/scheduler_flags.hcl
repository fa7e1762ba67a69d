virtual_server "a" {
  address         = "10.0.0.100:80"
  scheduler_flags = [/* error: Invalid scheduler_flags: scheduler_flags takes sh-port only with scheduler = "sh", not with "wlc". */ "sh-port"]
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "b" {
  address         = "10.0.0.100:81"
  scheduler       = "mh"
  scheduler_flags = [/* error: Invalid scheduler_flags: scheduler_flags takes the flags of mh: write "mh-fallback". */ "sh-fallback", "mh-port", /* error: Duplicate scheduler flag: mh-port is already used at testdata/invalid/scheduler_flags.hcl:11. */ "mh-port"]
  real_server "web1" {
    address = "10.0.0.21"
  }
}
