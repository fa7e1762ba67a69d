virtual_server "values" {
  address = "10.0.0.100:80"
  persistence {
    timeout = /* error: Invalid timeout: timeout takes 1s to 744h in steps of 1s, not "1500ms". */ "1500ms"
    netmask = /* error: Invalid netmask: netmask takes a mask such as "255.255.255.0", or the number of its bits such as 24, not "24". */ "24"
    engine  = /* error: Invalid engine: engine takes one of sip, not "sips"; did you mean "sip"? */ "sips"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "bounds" {
  address = "10.0.0.100:81"
  persistence {
    timeout = /* error: Invalid timeout: timeout takes 1s to 744h in steps of 1s, not "0s". */ "0s"
    netmask = /* error: Invalid netmask: netmask takes a mask whose bits are set from the left, not "255.0.255.0". */ "255.0.255.0"
    engine  = /* error: Invalid engine: engine takes "sip" only with protocol = "udp": the kernel finds no Call-ID in others. */ "sip"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "long" {
  address = "10.0.0.100:82"
  persistence {
    timeout = /* error: Invalid timeout: timeout takes 1s to 744h in steps of 1s, not "745h". */ "745h"
    netmask = /* error: Invalid netmask: netmask takes a whole number from 0 to 32, not 33. */ 33
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "six" {
  address = "[2001:db8::100]:80"
  persistence {
    netmask = /* error: Invalid netmask: netmask takes a number without quotes: write 64. */ "64"
  }
  real_server "web1" {
    address = "2001:db8::21"
  }
}
virtual_server "six-zero" {
  address = "[2001:db8::100]:81"
  persistence {
    netmask = /* error: Invalid netmask: netmask takes a whole number from 1 to 128, not 0. */ 0
  }
  real_server "web1" {
    address = "2001:db8::21"
  }
}
virtual_server "one-packet" {
  address    = "10.0.0.100:83"
  one_packet = /* error: Invalid one_packet: one_packet takes true only with protocol = "udp". */ true
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "stream" {
  address    = "10.0.0.100:84"
  protocol   = "sctp"
  one_packet = /* error: Invalid one_packet: one_packet takes true only with protocol = "udp". */ true
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "twice" {
  address = "10.0.0.100:85"
  persistence {}
  /* error: Duplicate persistence block: Only one persistence block is allowed. Another was defined at testdata/invalid/persistence.hcl:68,3-14. */ persistence {}
  real_server "web1" {
    address = "10.0.0.21"
  }
}
