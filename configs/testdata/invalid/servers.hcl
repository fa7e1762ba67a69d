virtual_server "web" {
  address       = "10.0.0.100:80"
  active        = /* error: Invalid active: active takes the name of a virtual_router, or "always"; there is none "alway"; did you mean "always"? */ "alway"
  drain_timeout = /* error: Invalid drain_timeout: drain_timeout takes 0s to 24h, not "25h". */ "25h"
  one_packet    = /* error: Invalid one_packet: one_packet takes true or false, without quotes, not "no". */ "no"
  real_server "above" {
    address         = "10.0.0.21"
    upper_threshold = 10
    lower_threshold = /* error: Invalid lower_threshold: lower_threshold takes at most upper_threshold, 10. */ 11
  }
  real_server "alone" {
    address         = "10.0.0.22"
    lower_threshold = /* error: Invalid lower_threshold: lower_threshold is where new connections begin again after upper_threshold, which is not set. */ 1
  }
  real_server "values" {
    address         = "10.0.0.23"
    upper_threshold = /* error: Invalid upper_threshold: upper_threshold takes a whole number from 0 to 2147483647, not -1. */ -1
    lower_threshold = /* error: Invalid lower_threshold: lower_threshold takes a whole number from 0 to 2147483647, not 2147483648. */ 2147483648
    maintenance     = /* error: Invalid maintenance: maintenance takes true or false, without quotes, not 1. */ 1
  }
  real_server "equal" {
    address         = "10.0.0.24"
    upper_threshold = 10
    lower_threshold = 10
  }
}
