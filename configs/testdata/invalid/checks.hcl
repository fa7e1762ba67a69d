virtual_server "a" {
  address = "10.0.0.100:80"
  /* error: Missing name: There are 2 checks "tcp" here: each needs a name. */ check "tcp" {
    interval = /* error: Invalid interval: interval takes 10ms to 24h, not "1ms". */ "1ms"
    rise     = /* error: Invalid rise: rise takes a whole number from 1 to 1000, not 0. */ 0
    fall     = /* error: Invalid fall: fall takes a whole number from 1 to 1000, not 0. */ 0
    port     = /* error: Invalid port: port takes a whole number from 0 to 65535, not 65536. */ 65536
    timeout  = /* error: Invalid timeout: timeout takes 1ms to 24h, not "0s". */ "0s"
    retry_interval = /* error: Invalid retry_interval: retry_interval takes a text with a unit: write "1s". */ 1
    /* error: Unsupported argument: path belongs to check http, not to check "tcp". */ path = "/"
    /* error: Unsupported argument: type belongs to check dns, not to check "tcp". */ type = "A"
  }
  check "tcp" {
    name = "other"
  }
  check "http" {
    name   = /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "a b"
    path   = /* error: Invalid path: path starts with "/": write "/health". */ "health"
    host   = /* error: Invalid host: host takes a host name such as "www.example.com", or an IPv6 address in brackets. */ "http://www.example.com"
    expect = /* error: Invalid expect: expect takes a regular expression of RE2, which has no look-around or back-references: invalid or unsupported Perl syntax: `(?=`. */ "(?=a)"
    status = [
      "200",
      200,
      /* error: Invalid status: status takes a whole number from 100 to 599, not 600. */ 600,
      /* error: Invalid status: status takes a text in quotes, not true. */ true,
      /* error: Invalid status: status takes codes from 100 to 599 such as "200" or "200-299", not "2xx". */ "2xx",
      /* error: Invalid status: status takes codes from 100 to 599 such as "200" or "200-299", not "299-200". */ "299-200",
      /* error: Invalid status: status takes codes from 100 to 599 such as "200" or "200-299", not "200-600". */ "200-600",
    ]
  }
  check /* error: Invalid check: check takes one of tcp, http, dns, grpc, smtp, udp, icmp, exec, not "htpp"; did you mean "http"? */ "htpp" {
    interval = "1s"
  }
  real_server "web1" {
    address = "10.0.0.21"
    check "http" {
      path   = /* error: Invalid path: path takes the path of a URL; white space and other unusual characters are written %20 and the like. */ "/a b"
      status = /* error: Invalid status: status takes at least one code or range such as "200-299". */ []
    }
  }
  real_server "web2" {
    address = "10.0.0.22"
    check "http" {
      status = /* error: Invalid status: status is a list: write ["200"]. */ "200"
    }
  }
  real_server "web3" {
    address = "10.0.0.23"
    check "http" {
      status = /* error: Invalid status: status is a list: write [200]. */ 200
    }
  }
  real_server "web4" {
    address = "10.0.0.24"
    check "http" {
      status = /* error: Invalid status: status is a list. */ 600
    }
  }
}
