virtual_router "a" {
  interface = "eth0"
  id        = 51
  priority  = /* error: Invalid priority: Priority 255 says that the addresses are this director's own, which it holds whenever it runs: write owner = true as well if that is meant, or 254 or less. */ 255
  addresses = ["10.0.0.100/32"]
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  owner     = /* error: Invalid owner: An address owner has priority 255 and nobody else has (RFC 9568 5.2.4): write priority = 255 as well. */ true
  addresses = ["10.0.0.101/32"]
}
virtual_router "c" {
  interface = "eth0"
  id        = 53
  priority  = 255
  owner     = /* error: Invalid owner: owner takes true or false, without quotes, not "yes". */ "yes"
  addresses = ["10.0.0.102/32"]
}
virtual_router "d" {
  interface     = "eth0"
  id            = 54
  checksum      = /* error: Invalid checksum: checksum takes one of pseudo, plain, not "plan"; did you mean "plain"? */ "plan"
  use_vmac      = /* error: Invalid use_vmac: use_vmac takes true or false, without quotes, not 1. */ 1
  preempt_delay = /* error: Invalid preempt_delay: preempt_delay takes 0s to 1h, not "2h". */ "2h"
  addresses     = ["10.0.0.103/32"]
}
