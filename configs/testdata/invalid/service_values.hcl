virtual_server "a" {
  address         = /* error: Invalid address: address takes an address with a port: write "10.0.0.100:80". */ "10.0.0.100"
  protocol        = /* error: Invalid protocol: protocol takes one of tcp, udp, sctp, not "TCP". */ "TCP"
  scheduler       = /* error: Invalid scheduler: scheduler takes one of rr, wrr, lc, wlc, sed, nq, sh, dh, mh, lblc, lblcr, fo, ovf, twos, not "wlcc"; did you mean "wlc"? */ "wlcc"
  scheduler_flags = [/* error: Invalid scheduler_flags: scheduler_flags takes one of sh-port, sh-fallback, mh-port, mh-fallback, not "sh_port"; did you mean "sh-port"? */ "sh_port"]
  forward         = /* error: Invalid forward: forward takes one of nat, dr, tunnel, not "masq". */ "masq"
  start           = /* error: Invalid start: start takes one of down, up, not true. */ true
  on_failure      = /* error: Invalid on_failure: on_failure takes one of remove, inhibit, not "inhibt"; did you mean "inhibit"? */ "inhibt"
  real_server "web1" {
    address = /* error: Invalid address: address takes "ADDR:PORT" or "ADDR", with a port from 1 to 65535, not "10.0.0.21:0". */ "10.0.0.21:0"
    weight  = /* error: Invalid weight: weight takes a whole number from 0 to 65535, not 65536. */ 65536
  }
  real_server "web2" {
    address = /* error: Invalid address: address takes the address of one host, not 224.0.0.1. */ "224.0.0.1"
    weight  = /* error: Invalid weight: weight takes a whole number from 0 to 65535, not -1. */ -1
  }
}
virtual_server "b" {
  address = /* error: Invalid address: address takes "ADDR:PORT", not "www.example.com:80". */ "www.example.com:80"
  real_server "web1" {
    address = /* error: Invalid address: address takes "ADDR:PORT" or "ADDR", with a port from 1 to 65535, not "10.0.0.21:65536". */ "10.0.0.21:65536"
  }
}
virtual_server "c" {
  address = /* error: Invalid address: address takes the address of one host, not 0.0.0.0. */ "0.0.0.0:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "d" {
  address = /* error: Invalid address: address takes an IPv4 address in its own form: write "10.0.0.100:80". */ "[::ffff:10.0.0.100]:80"
  real_server "web1" {
    address = /* error: Invalid address: address takes an IPv4 address in its own form: write "10.0.0.21:8080". */ "[::ffff:10.0.0.21]:8080"
  }
  real_server "web2" {
    address = /* error: Invalid address: address takes an IPv4 address in its own form: write "10.0.0.22". */ "::ffff:10.0.0.22"
  }
}
virtual_server "e" {
  address = /* error: Invalid address: address takes an address with a port: write "10.0.0.100:80". */ "::ffff:10.0.0.100"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
