virtual_router "web" {
  advertise_interval = 1s
}
