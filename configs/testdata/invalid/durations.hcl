virtual_router "a" {
  interface          = "eth0"
  id                 = 51
  addresses          = ["10.0.0.100/32"]
  advertise_interval = /* error: Invalid advertise_interval: advertise_interval takes a text with a unit: write "5s". */ 5
  startup_delay      = /* error: Invalid startup_delay: startup_delay takes a text with a unit: write "5s". */ "5"
  gratuitous_arp {
    delay    = /* error: Invalid delay: delay takes a duration such as "500ms", "2s" or "1m30s", not "soon". */ "soon"
    refresh  = /* error: Invalid refresh: refresh takes 100ms to 24h, not "1ms". */ "1ms"
    interval = /* error: Invalid interval: interval takes 0s to 1s, not "-1s". */ "-1s"
  }
}
virtual_router "b" {
  interface          = "eth0"
  id                 = 52
  addresses          = ["10.0.0.101/32"]
  advertise_interval = /* error: Invalid advertise_interval: advertise_interval takes 10ms to 40.95s in steps of 10ms, not "15ms". */ "15ms"
  startup_delay      = /* error: Invalid startup_delay: startup_delay takes a text with a unit, such as "500ms". */ 0.5
}
virtual_router "c" {
  interface          = "eth0"
  id                 = 53
  addresses          = ["10.0.0.102/32"]
  advertise_interval = /* error: Invalid advertise_interval: advertise_interval takes 10ms to 40.95s in steps of 10ms, not "41s". */ "41s"
}
