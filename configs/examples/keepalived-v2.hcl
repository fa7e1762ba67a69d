# A director beside one that runs keepalived: VRRPv2, with the password that its configuration has.
#
# What the other one says, so that both understand each other:
#
#   vrrp_instance web {
#       interface eth0
#       virtual_router_id 51
#       priority 100
#       advert_int 1
#       authentication {
#           auth_type PASS
#           auth_pass secret12
#       }
#       virtual_ipaddress {
#           10.0.0.100/32
#       }
#   }
#
# Interval and password must be equal, or each refuses the other's adverts. The password goes over the wire in clear
# text: it tells two pairs apart that somebody gave one id, and keeps nobody out. VRRPv3, keepalived's vrrp_version 3,
# has none, and serves IPv6 and intervals below a second; checksum = "pseudo", the default, is keepalived's.

director {
  name = "lb2"
}

virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  version            = 2
  priority           = 90
  advertise_interval = "1s" # whole seconds
  addresses          = ["10.0.0.100/32"]

  auth "pass" {
    password = "secret12"
  }
}

virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"

  check "tcp" {}

  real_server "web1" {
    address = "10.0.0.21"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
}
