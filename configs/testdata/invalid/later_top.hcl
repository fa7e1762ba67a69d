/* error: Not supported yet: The argument "include" is not supported yet. */ include = ["conf.d/*.hcl"]
/* error: Not supported yet: Blocks of type "variable" are not supported yet. */ variable "vip" {
  default = "10.0.0.100"
}
/* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "virtual_server" {
  for_each = []
}
http {
  /* error: Not supported yet: The argument "basic_auth" is not supported yet. */ basic_auth = {}
  /* error: Not supported yet: Blocks of type "tls" are not supported yet. */ tls {
    certificate = "/etc/holdfast/tls.crt"
  }
}
