virtual_router "a" {
  interface = "eth0"
  addresses = ["10.0.0.100/32"]
  id        = /* error: Invalid id: id takes a whole number from 1 to 255, not 0. */ 0
  priority  = /* error: Invalid priority: priority takes a whole number from 1 to 255, not 0. */ 0
  version   = /* error: Invalid version: version takes a whole number from 2 to 3, not 4. */ 4
}
virtual_router "b" {
  interface = "eth0"
  addresses = ["10.0.0.101/32"]
  id        = /* error: Invalid id: id takes a number without quotes: write 52. */ "52"
  priority  = /* error: Invalid priority: priority takes a whole number from 1 to 255, not 256. */ 256
  preempt   = /* error: Invalid preempt: preempt takes true or false, without quotes, not "yes". */ "yes"
  handover  = /* error: Invalid handover: handover takes true or false, without quotes, not 1. */ 1
}
virtual_router "c" {
  interface = "eth0"
  addresses = ["10.0.0.102/32"]
  id        = /* error: Invalid id: id takes a whole number from 1 to 255, not …. */ 1.5
  priority  = /* error: Invalid priority: priority takes a whole number from 1 to 255, not -1. */ -1
  preempt   = /* error: Invalid preempt: preempt takes true or false, without quotes, not null. */ null
}
