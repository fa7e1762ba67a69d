director {
  manage_sysctls = /* error: Invalid manage_sysctls: manage_sysctls takes true or false, without quotes, not "yes". */ "yes"
  on_exit        = /* error: Invalid on_exit: on_exit takes one of withdraw, clear, keep, not "flush". */ "flush"
  control_group  = /* error: Invalid control_group: control_group takes the name of a group such as "adm", or "" for none. */ "a b"
  drift          = /* error: Invalid drift: drift takes one of repair, report, not "repare"; did you mean "repair"? */ "repare"
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
connection_sync {
  interface      = /* error: Invalid interface: interface takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "eth 0"
  id             = /* error: Invalid id: id takes a whole number from 0 to 255, not 256. */ 256
  virtual_router = /* error: Invalid virtual_router: virtual_router takes the name of a virtual_router; there is none "wep"; did you mean "web"? */ "wep"
  group          = /* error: Invalid group: group takes a multicast address such as "224.0.0.81" or "ff02::81". */ "10.0.0.1"
  port           = /* error: Invalid port: port takes a whole number from 1 to 65535, not 0. */ 0
  ttl            = /* error: Invalid ttl: ttl takes a whole number from 1 to 255, not 0. */ 0
}
timeouts {
  tcp     = /* error: Invalid tcp: tcp takes 1s to 576h in steps of 1s, not "0s". */ "0s"
  tcp_fin = /* error: Invalid tcp_fin: tcp_fin takes 1s to 576h in steps of 1s, not "1.5s". */ "1.5s"
  udp     = /* error: Invalid udp: udp takes 1s to 576h in steps of 1s, not "577h". */ "577h"
}
