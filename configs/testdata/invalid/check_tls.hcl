virtual_server "a" {
  address = "10.0.0.100:443"
  check "tcp" {
    tls {
      verify      = /* error: Invalid verify: verify takes true or false, without quotes, not "no". */ "no"
      ca          = /* error: Invalid ca: ca takes an absolute path, which starts with "/". */ "ca.pem"
      server_name = /* error: Invalid server_name: server_name takes the name in the server's certificate such as "www.example.com", without a port. */ "www.example.com:443"
      certificate = /* warning: Unusable file: stat /nonexistent/tls.crt: no such file or directory: as long as it is so, the check cannot run. */ /* error: Missing key: certificate needs a key beside it. */ "/nonexistent/tls.crt"
      min_version = /* error: Invalid min_version: min_version takes one of 1.0, 1.1, 1.2, 1.3, not "TLS1.2". */ "TLS1.2"
    }
  }
  check "http" {
    tls {
      key         = /* warning: Unusable file: read /dev/null: not a regular file: as long as it is so, the check cannot run. */ /* error: Missing certificate: key needs a certificate beside it. */ "/dev/null"
      min_version = /* error: Invalid min_version: min_version takes a text in quotes, such as "1.2". */ 1.2
    }
  }
  check "grpc" {
    tls {}
    /* error: Duplicate tls block: Only one tls block is allowed. Another was defined at testdata/invalid/check_tls.hcl:19,5-8. */ tls {}
  }
  check "dns" {
    /* error: Contradictory tls: DNS over UDP has no TLS: write transport = "tcp", and the port, 853 as a rule. */ tls {}
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
