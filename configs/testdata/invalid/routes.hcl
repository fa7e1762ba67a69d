virtual_router "a" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  virtual_routes = [
    "default via 10.0.0.1",
    "default metric 5 dev eth1",
    /* error: Duplicate virtual route: 0.0.0.0/0 metric 5 is already used at testdata/invalid/routes.hcl:7. */ "default metric 5 table main dev eth2",
    /* error: Invalid virtual_routes: virtual_routes takes routes such as "192.0.2.0/24 via 10.0.0.1". */ "",
    /* error: Invalid virtual_routes: virtual_routes takes a network such as "192.0.2.0/24", a host or "default" first, not "via". */ "via 10.0.0.1 dev",
    /* error: Invalid virtual_routes: virtual_routes takes the address of the network itself: write "192.0.2.0/24". */ "192.0.2.1/24",
    /* error: Invalid virtual_routes: virtual_routes takes the address of one host, not 0.0.0.0. */ "0.0.0.0",
    /* error: Invalid virtual_routes: virtual_routes takes one of via, dev, src, table, metric, not "metrik"; did you mean "metric"? */ "192.0.2.0/24 metrik 5",
    /* error: Invalid virtual_routes: virtual_routes lacks a value after "dev". */ "192.0.2.0/24 via 10.0.0.1 dev",
    /* error: Invalid virtual_routes: virtual_routes has "via" twice. */ "192.0.2.0/24 via 10.0.0.1 via 10.0.0.2",
    /* error: Invalid virtual_routes: virtual_routes has a wrong value after "via": it takes the address of a host, not "10.0.0". */ "192.0.2.0/24 via 10.0.0",
    /* error: Invalid virtual_routes: virtual_routes has a wrong value after "src": it takes the address of a host, not "224.0.0.1". */ "192.0.2.0/24 src 224.0.0.1",
    /* error: Invalid virtual_routes: virtual_routes has a wrong value after "dev": it takes an interface name of 1 to 15 characters, not "a/b". */ "192.0.2.0/24 dev a/b",
    /* error: Invalid virtual_routes: virtual_routes has a wrong value after "table": it takes "main" or a number from 1 to 2147483647, not "0". */ "192.0.2.0/24 table 0",
    /* error: Invalid virtual_routes: virtual_routes has a wrong value after "metric": it takes a number from 0 to 2147483647, not "-1". */ "192.0.2.0/24 metric -1",
    /* error: Invalid virtual_routes: virtual_routes takes addresses of one family: 2001:db8::1 does not fit 192.0.2.0/24. */ "192.0.2.0/24 via 2001:db8::1",
    "198.51.100.7 via 10.0.0.1 table 100",
    /* error: Duplicate virtual route: 198.51.100.7/32 table 100 is already used at testdata/invalid/routes.hcl:22. */ "198.51.100.7/32 table 100",
  ]
}
virtual_router "b" {
  interface      = "eth0"
  id             = 51
  addresses      = ["fe80::100/64"]
  virtual_routes = ["default", "192.0.2.0/24 via 10.0.0.1 src 10.0.0.2", /* error: Duplicate virtual route: ::/0 is already used at testdata/invalid/routes.hcl:30. */ "default via fe80::1", /* error: Duplicate virtual route: ::/0 is already used at testdata/invalid/routes.hcl:30. */ "::/0 metric 1024"]
}
