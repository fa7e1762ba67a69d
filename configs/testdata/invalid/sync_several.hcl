virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
}
/* error: Missing virtual_router: There are 2 virtual routers: virtual_router names the one whose role the sync daemon follows, such as "a". */ connection_sync {
  interface = "eth0"
}
