virtual_router "a" {
  interface      = /* error: Invalid interface: interface takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "sixteen-letters-"
  id             = 51
  addresses      = ["10.0.0.100/32"]
  address_device = /* error: Invalid address_device: address_device takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "eth 0"
}
virtual_router "b" {
  interface = /* error: Invalid interface: interface takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "a/b"
  id        = 51
  addresses = ["10.0.0.101/32"]
}
