virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 100
  advertise_interval = "300ms"
  addresses          = ["10.0.0.100/32"]
}

virtual_router "mail" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.110/32"]
}
