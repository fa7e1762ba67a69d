# Which argument belongs to which kind of check.
virtual_server "a" {
  address = "10.0.0.100:80"
  check "icmp" {
    address = "10.0.0.1"
    source  = "10.0.0.2"
    via     = "direct"
    /* error: Unsupported argument: port belongs to check tcp, http, dns, grpc, smtp, udp, not to check "icmp". */ port = 7
    /* error: Unsupported argument: send belongs to check tcp, udp, not to check "icmp". */ send = "a"
    /* error: Unsupported argument: expect belongs to check tcp, http, dns, udp, not to check "icmp". */ expect = "a"
    /* error: Unsupported block: tls belongs to check tcp, http, dns, grpc, smtp, not to check "icmp". */ tls {}
  }
  check "exec" {
    command = ["/bin/true"]
    address = "10.0.0.1"
    /* error: Unsupported argument: port belongs to check tcp, http, dns, grpc, smtp, udp, not to check "exec". */ port = 7
    /* error: Unsupported argument: source belongs to check tcp, http, dns, grpc, smtp, udp, icmp, not to check "exec". */ source = "10.0.0.2"
    /* error: Unsupported argument: via belongs to check tcp, http, dns, grpc, smtp, udp, icmp, not to check "exec". */ via = "direct"
  }
  check "udp" {
    /* error: Unsupported argument: url belongs to check http, not to check "udp". */ url = "http://a/"
    /* error: Unsupported block: tls belongs to check tcp, http, dns, grpc, smtp, not to check "udp". */ tls {}
  }
  check "tcp" {
    /* error: Unsupported argument: scheme belongs to check http, not to check "tcp". */ scheme = "https"
    /* error: Unsupported argument: host belongs to check http, not to check "tcp". */ host = "a"
    /* error: Unsupported argument: method belongs to check http, not to check "tcp". */ method = "GET"
    /* error: Unsupported argument: headers belongs to check http, not to check "tcp". */ headers = {}
    /* error: Unsupported argument: body belongs to check http, not to check "tcp". */ body = ""
    /* error: Unsupported argument: http2 belongs to check http, not to check "tcp". */ http2 = true
    /* error: Unsupported argument: status belongs to check http, not to check "tcp". */ status = [200]
    /* error: Unsupported argument: digest belongs to check http, not to check "tcp". */ digest = ""
    /* error: Unsupported argument: max_body belongs to check http, not to check "tcp". */ max_body = 1
    /* error: Unsupported argument: redirects belongs to check http, not to check "tcp". */ redirects = true
    /* error: Unsupported argument: transport belongs to check dns, not to check "tcp". */ transport = "tcp"
    /* error: Unsupported argument: service belongs to check grpc, not to check "tcp". */ service = ""
    /* error: Unsupported argument: helo belongs to check smtp, not to check "tcp". */ helo = "a"
    /* error: Unsupported argument: starttls belongs to check smtp, not to check "tcp". */ starttls = true
    /* error: Unsupported argument: command belongs to check exec, not to check "tcp". */ command = ["/bin/true"]
    /* error: Unsupported argument: dynamic_weight belongs to check exec, not to check "tcp". */ dynamic_weight = true
    /* error: Unsupported argument: user belongs to check exec, not to check "tcp". */ user = "nobody"
  }
  real_server "web1" {
    address = "10.0.0.21"
    check "exec" {
      command = ["/bin/true"]
      /* error: Unsupported block: tls belongs to check tcp, http, dns, grpc, smtp, not to check "exec". */ tls {}
    }
  }
}
