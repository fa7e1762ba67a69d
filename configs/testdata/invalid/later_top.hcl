/* error: Not supported yet: The argument "include" is not supported yet. */ include = ["conf.d/*.hcl"]
/* error: Not supported yet: Blocks of type "variable" are not supported yet. */ variable "vip" {
  default = "10.0.0.100"
}
/* error: Not supported yet: Blocks of type "dynamic" are not supported yet. */ dynamic "virtual_server" {
  for_each = []
}
director {
  /* error: Not supported yet: The argument "manage_sysctls" is not supported yet. */ manage_sysctls = true
  /* error: Not supported yet: The argument "on_exit" is not supported yet. */ on_exit = "withdraw"
  /* error: Not supported yet: The argument "control_group" is not supported yet. */ control_group = ""
  /* error: Not supported yet: The argument "drift" is not supported yet. */ drift = "repair"
}
http {
  /* error: Not supported yet: The argument "basic_auth" is not supported yet. */ basic_auth = {}
  /* error: Not supported yet: Blocks of type "tls" are not supported yet. */ tls {
    certificate = "/etc/holdfast/tls.crt"
  }
}
/* error: Not supported yet: Blocks of type "connection_sync" are not supported yet. */ connection_sync {
  interface = "eth0"
}
/* error: Not supported yet: Blocks of type "timeouts" are not supported yet. */ timeouts {
}
