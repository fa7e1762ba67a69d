virtual_server "a" {
  address = "10.0.0.100:53"
  check "tcp" {
    send   = /* error: Invalid send: send takes two hexadecimal digits for each byte after "hex:", such as "hex:0d0a". */ "hex:0"
    expect = /* error: Invalid expect: expect takes a regular expression of RE2, which has no look-around or back-references: missing closing ): `(`. */ "("
  }
  check "udp" {
    send = /* error: Invalid send: send takes two hexadecimal digits for each byte after "hex:", such as "hex:0d0a". */ "hex:xy"
  }
  check "dns" {
    name      = /* error: Invalid name: name takes a domain name such as "www.example.com" or ".": labels of 1 to 63 ASCII characters, with dots between them. */ "www..example.com"
    type      = /* error: Invalid type: type takes one of A, AAAA, ANY, CAA, CNAME, DNSKEY, DS, HTTPS, MX, NAPTR, NS, PTR, SOA, SRV, SVCB, TLSA, TXT, not "AAA"; did you mean "AAAA"?; other types are written as their number. */ "AAA"
    transport = /* error: Invalid transport: transport takes one of udp, tcp, not "tls"; did you mean "tcp"? */ "tls"
  }
  check "grpc" {
    service = /* error: Invalid service: service takes the name of a service such as "example.v1.Orders", or "" for the server as a whole. */ "example orders"
  }
  check "smtp" {
    helo     = /* error: Invalid helo: helo takes the name of a host such as "lb1.example.com", or an address in brackets. */ "lb1\r\nQUIT"
    starttls = /* error: Invalid starttls: starttls takes true or false, without quotes, not "true". */ "true"
  }
  /* error: Missing command: command is required in this block. */ check "exec" {
    dynamic_weight = /* error: Invalid dynamic_weight: dynamic_weight takes true or false, without quotes, not 1. */ 1
    user           = /* error: Invalid user: user takes the name of a user such as "nobody". */ ""
  }
  real_server "web1" {
    address = "10.0.0.21"
    check "dns" {
      name = /* error: Invalid name: name takes a domain name such as "www.example.com" or ".": labels of 1 to 63 ASCII characters, with dots between them. */ ""
      type = /* error: Invalid type: type takes the name of a type in capitals: write "AAAA". */ "aaaa"
    }
    check "exec" {
      command = [/* error: Invalid command: command takes a program with its whole path, which starts with "/": neither a shell nor PATH is asked. */ "true"]
    }
    check "smtp" {
      helo = /* error: Invalid helo: helo takes the name of a host such as "lb1.example.com", or an address in brackets. */ ""
    }
  }
  real_server "web2" {
    address = "10.0.0.22"
    check "dns" {
      name = /* error: Invalid name: name takes a domain name such as "www.example.com" or ".": labels of 1 to 63 ASCII characters, with dots between them. */ "bücher.example"
      type = /* error: Invalid type: type takes a whole number from 1 to 65535, not 0. */ 0
    }
    check "exec" {
      command = /* error: Invalid command: command takes a program and its arguments. */ []
    }
    check "icmp" {}
  }
  real_server "web4" {
    address = "10.0.0.24"
    check "dns" {
      type = /* error: Invalid type: type takes a whole number from 1 to 65535, not -1. */ -1
    }
    check "dns" {
      type = /* error: Invalid type: type takes a whole number from 1 to 65535, not 65536. */ 65536
    }
  }
  real_server "web3" {
    address = "10.0.0.23"
    check "dns" {
      type = "A"
    }
    check "dns" {
      type      = "A"
      transport = "tcp"
    }
    check "dns" {
      name = "example.com"
      type = "A"
    }
    check /* error: Duplicate check name: "dns-udp-A-example.com." is already used at testdata/invalid/check_kinds.hcl:68. */ "dns" {
      name = "example.com."
      type = 1
    }
  }
}
