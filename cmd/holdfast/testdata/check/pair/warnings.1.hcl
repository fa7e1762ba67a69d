virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = 150
  addresses = ["10.0.0.100/32", "10.0.0.101/32"]

  track_script "upstream" {
    command = ["/usr/lib/holdfast/check-upstream"]
    weight  = -20
  }
}
