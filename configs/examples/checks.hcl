# Each kind of check once, and what happens when servers fail.
#
# All checks of a real server must pass. They run from this director against the server's own address; see
# docs/checks.md for what each kind does and what its failures mean.

director {
  name = "lb1"
}

virtual_router "services" {
  interface = "eth0"
  id        = 54
  addresses = ["10.0.0.100/32"]
}

# An application: what it answers, by TLS as the clients have it.
virtual_server "web" {
  address         = "10.0.0.100:443"
  forward         = "dr"
  panic_threshold = 30    # fewer than 30 % up: more likely the check is wrong than the servers, so all get traffic
  slow_start      = "30s" # a server that comes back gets its weight in steps

  quorum { # capacity for the load: 20 of 40
    weight     = 20
    hysteresis = 10 # lost below 10, back from 30 on
  }
  sorry_server { # meanwhile
    address = "10.0.0.30"
  }

  check "http" {
    url     = "https://www.example.com/health" # the name for the certificate; asked is each real server
    headers = { Accept = "application/json" }
    expect  = "\"status\": *\"ok\""
    timeout = "1500ms"
  }

  real_server "web1" {
    address = "10.0.0.21"
    weight  = 20
  }
  real_server "web2" {
    address = "10.0.0.22"
    weight  = 20

    # Its own checks replace the service's: this one is asked without TLS, on another port, and says how busy it is.
    check "http" {
      path  = "/health"
      host  = "www.example.com"
      port  = 8080
      http2 = true
    }
    check "exec" {
      command        = ["/usr/lib/holdfast/check-load", "web2"]
      interval       = "10s"
      timeout        = "5s"
      dynamic_weight = true # exit code 12: weight 10
    }
  }
}

# Names: the answer, over both transports.
virtual_server "dns" {
  address  = "10.0.0.100:53"
  protocol = "udp"

  check "dns" {
    name   = "www.example.com"
    type   = "A"
    expect = "^192\\.0\\.2\\."
  }
  check "dns" {
    name      = "www.example.com"
    type      = "A"
    transport = "tcp"
  }
  check "icmp" {
    interval = "10s"
  }

  real_server "ns1" {
    address = "10.0.0.23"
  }
}

# Mail: the greeting, and that STARTTLS works with a certificate for this name.
virtual_server "mail" {
  address = "10.0.0.100:25"

  check "smtp" {
    helo     = "lb1.example.com"
    starttls = true
    tls {
      server_name = "mail.example.com"
    }
  }

  real_server "mail1" {
    address = "10.0.0.24"
  }
}

# A gRPC server says what it serves (grpc.health.v1), by HTTP/2 without TLS.
virtual_server "orders" {
  address = "10.0.0.100:9000"

  check "grpc" {
    service = "example.v1.Orders"
  }

  real_server "orders1" {
    address = "10.0.0.25"
  }
}

# A protocol of lines, and one of datagrams.
virtual_server "cache" {
  address = "10.0.0.100:6379"

  check "tcp" {
    send   = "PING\r\n"
    expect = "^\\+PONG"
  }

  real_server "cache1" {
    address = "10.0.0.26"
  }
}

virtual_server "time" {
  address  = "10.0.0.100:123"
  protocol = "udp"

  check "udp" { # an NTP client's question: version 4, mode 3
    send   = "hex:230000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    expect = "^[\\x24\\x64\\xe4]" # mode 4: an answer of version 4
  }

  real_server "time1" {
    address = "10.0.0.27"
  }
}
