virtual_server "web" {
  address = "10.0.0.100:80"
  check "tcp" {
    /* error: Not supported yet: The argument "address" is not supported yet. */ address = ""
    /* error: Not supported yet: The argument "source" is not supported yet. */ source = ""
    /* error: Not supported yet: The argument "via" is not supported yet. */ via = "direct"
    /* error: Not supported yet: The argument "send" is not supported yet. */ send = ""
    /* error: Not supported yet: The argument "expect" is not supported yet. */ expect = ""
    /* error: Not supported yet: Blocks of type "tls" are not supported yet. */ tls {}
  }
  check "http" {
    /* error: Not supported yet: The argument "url" is not supported yet. */ url = "http://www.example.com/"
    /* error: Not supported yet: The argument "scheme" is not supported yet. */ scheme = "http"
    /* error: Not supported yet: The argument "method" is not supported yet. */ method = "GET"
    /* error: Not supported yet: The argument "headers" is not supported yet. */ headers = {}
    /* error: Not supported yet: The argument "body" is not supported yet. */ body = ""
    /* error: Not supported yet: The argument "http2" is not supported yet. */ http2 = false
    /* error: Not supported yet: The argument "digest" is not supported yet. */ digest = ""
    /* error: Not supported yet: The argument "max_body" is not supported yet. */ max_body = 1048576
    /* error: Not supported yet: The argument "redirects" is not supported yet. */ redirects = false
  }
  check /* error: Not supported yet: Checks of kind "dns" are not supported yet. */ "dns" {
    type = "SOA"
  }
  check /* error: Not supported yet: Checks of kind "grpc" are not supported yet. */ "grpc" {}
  check /* error: Not supported yet: Checks of kind "smtp" are not supported yet. */ "smtp" {}
  check /* error: Not supported yet: Checks of kind "udp" are not supported yet. */ "udp" {}
  check /* error: Not supported yet: Checks of kind "icmp" are not supported yet. */ "icmp" {}
  check /* error: Not supported yet: Checks of kind "exec" are not supported yet. */ "exec" {}
  real_server "web1" {
    address = "10.0.0.21:80"
    check /* error: Not supported yet: Checks of kind "exec" are not supported yet. */ "exec" {
      command = ["/bin/true"]
    }
  }
}
