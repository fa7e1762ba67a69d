virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  gratuitous_arp {
    burst  = /* error: Invalid burst: burst takes a whole number from 1 to 100, not 0. */ 0
    repeat = /* error: Invalid repeat: repeat takes a whole number from 0 to 100, not 101. */ 101
    format = /* error: Invalid format: format takes one of request, reply, both, not "requst"; did you mean "request"? */ "requst"
  }
}
