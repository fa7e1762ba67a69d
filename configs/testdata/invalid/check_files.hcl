# A file may be made after the configuration: what is wrong with it now is a warning.
virtual_server "a" {
  address = "10.0.0.100:443"
  check "tcp" {
    name = "absent"
    tls {
      ca          = /* warning: Unusable file: stat /nonexistent/ca.pem: no such file or directory: as long as it is so, the check cannot run. */ "/nonexistent/ca.pem"
      certificate = /* warning: Unusable file: stat /nonexistent/tls.crt: no such file or directory: as long as it is so, the check cannot run. */ "/nonexistent/tls.crt"
      key         = /* warning: Unusable file: read /dev/null: not a regular file: as long as it is so, the check cannot run. */ "/dev/null"
    }
  }
  check "tcp" {
    name = "empty"
    tls {
      ca          = /* warning: Unusable file: read /etc/passwd: holds no certificate in PEM: as long as it is so, the check cannot run. */ "/etc/passwd"
      certificate = /* warning: Unusable file: read /etc/passwd with /etc/passwd: tls: failed to find any PEM data in certificate input: as long as it is so, the check cannot run. */ "/etc/passwd"
      key         = "/etc/passwd"
    }
  }
  check "tcp" {
    name = "unverified"
    tls {
      verify = false
      ca     = /* warning: No effect: With verify = false no certificate is held against a ca. */ /* warning: Unusable file: stat /nonexistent/ca.pem: no such file or directory: as long as it is so, the check cannot run. */ "/nonexistent/ca.pem"
    }
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
