virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = [
    /* error: Invalid addresses: addresses takes an address with the length of its prefix: write "10.0.0.100/32". */ "10.0.0.100",
    /* error: Invalid addresses: addresses takes an address with the length of its prefix: write "10.0.0.100/32 dev eth1". */ "10.0.0.100 dev eth1",
    /* error: Invalid addresses: addresses takes "ADDR/LEN" or "ADDR/LEN dev IFACE". */ "10.0.0.100/32 eth1",
    /* error: Invalid addresses: addresses takes "ADDR/LEN" or "ADDR/LEN dev IFACE", not "10.0.0.100/33". */ "10.0.0.100/33",
    /* error: Invalid addresses: addresses takes "ADDR/LEN" or "ADDR/LEN dev IFACE", not "10.0.0.100/0". */ "10.0.0.100/0",
    /* error: Invalid addresses: addresses takes the address of one host, not 224.0.0.18. */ "224.0.0.18/32",
    /* error: Invalid addresses: addresses takes the address of one host, not 0.0.0.0. */ "0.0.0.0/32",
    /* error: Invalid addresses: addresses takes the address of one host, not 255.255.255.255. */ "255.255.255.255/32",
    /* error: Invalid addresses: addresses takes an interface name: 1 to 15 characters without a slash, colon or white space. */ "10.0.0.103/32 dev eth0:1",
    /* error: Invalid addresses: addresses takes an IPv4 address in its own form: write "10.0.0.104/32". */ "::ffff:10.0.0.104/128",
    /* error: Invalid addresses: addresses takes an IPv4 address in its own form: write "10.0.0.104/24 dev eth1". */ "::ffff:10.0.0.104/120 dev eth1",
    /* error: Invalid addresses: addresses takes an address with the length of its prefix: write "10.0.0.104/32". */ "::ffff:10.0.0.104",
    /* error: Invalid addresses: addresses takes a text in quotes, not 5. */ 5,
    /* error: Invalid addresses: addresses is a single value. */ ["10.0.0.105/32"],
    /* error: Invalid addresses: addresses takes the address of a host in 10.0.1.0/24: 10.0.1.0 is that of the network itself or of all its hosts. */ "10.0.1.0/24",
    /* error: Invalid addresses: addresses takes the address of a host in 10.0.1.4/30: 10.0.1.7 is that of the network itself or of all its hosts. */ "10.0.1.7/30",
    "10.0.2.0/31",
    "10.0.2.255/32",
    "10.0.2.127/24",
  ]
}
virtual_router "b" {
  interface = "eth0"
  id        = 52
  addresses = /* error: Invalid addresses: addresses takes 1 to 255 addresses, not 0. */ []
}
virtual_router "c" {
  interface = "eth0"
  id        = 53
  addresses = /* error: Invalid addresses: addresses is a list: write ["10.0.0.102/32"]. */ "10.0.0.102/32"
}
