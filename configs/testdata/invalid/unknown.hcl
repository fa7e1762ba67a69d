log {
  /* error: Unsupported argument: An argument named "levle" is not expected here. Did you mean "level"? */ levle = "info"
}
/* error: Unsupported block type: Blocks of type "virtual_sever" are not expected here. Did you mean "virtual_server"? */ virtual_sever "web" {
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  /* error: Unsupported argument: An argument named "unicast" is not expected here. Did you mean to define a block of type "unicast"? */ unicast = {}
}
