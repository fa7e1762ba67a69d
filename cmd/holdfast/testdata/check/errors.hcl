virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = 255
  advertise_interval = "5"
  addresses          = ["10.0.0.100", "10.0.0.101/32"]
  preemt             = false
}

virtual_server "web" {
  address   = "10.0.0.100:80"
	scheduler = "wlcc" # a tab, which the marker follows

  real_server "web1" {
  }
}
