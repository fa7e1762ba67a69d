virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  track_interface /* error: Invalid track_interface: track_interface takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "a/b" {
    weight = /* error: Invalid weight: weight takes a whole number from -254 to 254, not -255. */ -255
  }
  track_interface "eth1" {}
  track_interface /* error: Duplicate track_interface: "eth1" is already used at testdata/invalid/track.hcl:8. */ "eth1" {}
  track_interface /* warning: Tracked twice: eth0 is the virtual router's own interface, which is always tracked: while its link is down, the router is in fault. */ "eth0" {}

  /* error: Missing command: command is required in this block. */ track_script "a" {
    interval = /* error: Invalid timeout: timeout is 1s unless set, and must be at most the interval: write timeout = "500ms" or less. */ "500ms"
    rise     = /* error: Invalid rise: rise takes a whole number from 1 to 1000, not 0. */ 0
  }
  track_script /* error: Duplicate track_script name: "a" is already used at testdata/invalid/track.hcl:12. */ "a" {
    command = [/* error: Invalid command: command takes a program with its whole path, which starts with "/": neither a shell nor PATH is asked. */ "check-upstream", "--fast"]
    timeout = /* error: Invalid timeout: timeout must be at most the interval: write timeout = "2s" or less. */ "3s"
    user    = /* error: Invalid user: user takes the name of a user such as "nobody". */ "no body"
  }
  track_script "b" {
    command = /* error: Invalid command: command takes a program and its arguments. */ []
    weight  = /* error: Invalid weight: weight takes a whole number from -254 to 254, not 1000. */ 1000
  }
  track_script "c" {
    command = /* error: Invalid command: command is a list: write ["/bin/true"]. */ "/bin/true"
  }
  track_script "d" {
    command = ["/bin/true", /* error: Invalid command: command takes a text in quotes, not 5. */ 5, /* error: Invalid command: command takes texts without a zero byte. */ "\u0000"]
  }

  track_process "haproxy" {
    name = /* error: Invalid name: name takes the name of a program without its path, such as "haproxy". */ "/usr/sbin/haproxy"
    min  = /* error: Invalid min: min takes a whole number from 1 to 100000, not 0. */ 0
  }
  track_process /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "/usr/sbin/haproxy" {
    name = "haproxy"
  }

  /* error: Missing path: path is required in this block. */ track_file "a" {}
  track_file "b" {
    path = /* error: Invalid path: path takes an absolute path, which starts with "/". */ "maintenance"
  }

  track_service /* error: Invalid track_service: track_service takes the name of a virtual_server; there is none "wbe"; did you mean "web"? */ "wbe" {}
  track_service /* error: Invalid track_service: track_service takes the name of a virtual_server; there is none "mail". */ "mail" {}
  track_service "web" {}
  track_service /* error: Duplicate track_service: "web" is already used at testdata/invalid/track.hcl:47. */ "web" {}
}
virtual_router "other" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
  track_service "web" {} # another virtual router's
}
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
