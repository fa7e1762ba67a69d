log {
  level  = /* error: Invalid level: level takes one of debug, info, warn, error, not "atrue". */ "a${true}"
  format = "a${/* error: Invalid template interpolation value: The expression result is null. Cannot include a null value in a string template. */ null}"
}
virtual_router "web" {
  interface          = "eth${0}"
  id                 = "${51}"
  advertise_interval = "${1}s"
  addresses          = ["10.0.0.${1}/32", "10.0.0.2/32"]
}
virtual_server "web" {
  address   = "10.0.0.${1}:80"
  scheduler = /* error: Invalid scheduler: scheduler takes one of rr, wrr, lc, wlc, sed, nq, sh, dh, mh, lblc, lblcr, fo, ovf, twos, not "a1". */ "a${1}"
  check "http" {
    path   = /* error: Invalid path: path takes the path of a URL; white space and other unusual characters are written %20 and the like. */ <<-EOT
      /${1}
    EOT
    status = /* error: Invalid status: status is a list: write ["200"]. */ "${2}00"
  }
  real_server "web1" {
    address = "10.0.0.21"
    weight  = /* error: Invalid weight: weight takes a whole number from 0 to 65535, not "a-1". */ ("a${-1}")
  }
}
