# Every argument of every kind of check, with a value other than its default.
virtual_server "all" {
  address         = "10.0.0.100:80"
  forward         = "dr"
  panic_threshold = 40
  slow_start      = "1m30s"
  quorum {
    weight     = 5
    hysteresis = 4
  }
  sorry_server {
    address = "10.0.0.30:8080"
    forward = "nat"
  }
  real_server "a" {
    address = "10.0.0.21"
    weight  = 10
    check "tcp" {
      name    = "line"
      address = "10.1.0.21"
      port    = 81
      source  = "10.1.0.2"
      via     = "direct"
      send    = "PING\r\n\t\u0000"
      expect  = "PONG"
      tls {
        verify      = false
        server_name = "10.0.0.21"
        min_version = "1.0"
      }
    }
    check "tcp" {
      name = "bytes"
      send = "hex:00fF0d0a"
      tls {
        min_version = "1.3"
      }
    }
    check "http" {
      name      = "url"
      url       = "https://www.example.com:8443/health%20check?full=1"
      method    = "POST"
      headers   = { Accept = "text/plain", "X-Token" : "a: b", x-empty = "" }
      body      = "{\"a\": 1}\n"
      http2     = true
      digest    = "sha256:2689367B205C16CE32ED4200942B8B8B1E262DFC70D9BC9FBC77C49699A4F1DF"
      max_body  = 1000
      redirects = true
      status    = [418]
      tls {
        ca          = "/nonexistent/ca.pem"
        certificate = "/nonexistent/../nonexistent/tls.crt"
        key         = "/nonexistent/tls.key"
      }
    }
    check "http" {
      name   = "url-port"
      url    = "http://www.example.com:8443"
      port   = 82
      digest = "md5:d41d8cd98f00b204e9800998ecf8427e"
    }
    check "http" {
      name   = "https"
      scheme = "https"
      host   = "[2001:db8::1]:443"
      method = "HEAD"
    }
  }
  real_server "b" {
    address = "10.0.0.22"
    check "dns" {
      name      = "www.Example.com"
      type      = "AAAA"
      expect    = "2001:db8::1"
      transport = "tcp"
      port      = 853
      tls {}
    }
    check "dns" {
      type = 65
    }
    check "grpc" {
      service = "example.v1.Orders"
      tls {}
    }
    check "smtp" {
      name     = "starttls"
      helo     = "[10.0.0.2]"
      starttls = true
    }
    check "smtp" {
      name = "smtps"
      tls {}
    }
    check "udp" {
      name   = "udp"
      send   = "hello"
      expect = "."
    }
    check "udp" {
      name = "empty"
      send = ""
    }
    check "icmp" {
      source = "10.0.0.2"
    }
    check "exec" {
      command        = ["/usr/lib/holdfast/check-db", "a b", ""]
      dynamic_weight = true
      user           = "postgres"
    }
  }
}
virtual_server "defaults" {
  address = "[2001:db8::100]:53"
  forward = "dr"
  sorry_server {
    address = "2001:db8::30"
  }
  check "tcp" {}
  check "http" {}
  check "dns" {}
  check "grpc" {}
  check "smtp" {}
  check "udp" {}
  check "icmp" {}
  check "exec" {
    command = ["/bin/true"]
  }
  real_server "a" {
    address = "2001:db8::21"
  }
}
