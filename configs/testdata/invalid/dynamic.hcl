variable "servers" {
  default = { web1 = { address = "10.0.0.21", weight = 1 }, "web/2" = { address = "10.0.0.22", weight = -7, port = 1 } }
}
variable "none" {
  default = null
}
dynamic "virtual_server" {
  for_each = [80, 81]
  labels   = ["web${virtual_server.value}"]
  iterator = virtual_server
  content {
    address = "10.0.0.100:${virtual_server.value}"
    /* error: Unsupported argument: An argument named "nosuch" is not expected here. */ nosuch  = 1
    check "http" {
      headers = { /* error: Invalid headers: headers takes no Host: the attribute host is for it. */ Host = /* error: Invalid headers: headers takes a text in quotes, not 1. virtual_server.key is 1. */ /* error: Invalid headers: headers takes a text in quotes, not 0. virtual_server.key is 0. */ "${virtual_server.key}" }
    }
    dynamic "real_server" {
      for_each = var.servers
      labels   = [/* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ real_server.key]
      content {
        address = "${real_server.value.address}:${virtual_server.value}"
        weight  = /* error: Invalid weight: weight takes a whole number from 0 to 65535, not -7. real_server.value.weight is -7. */ real_server.value.weight
        lower_threshold = real_server.value/* error: Unsupported attribute: This object does not have an attribute named "lower". */ .lower
      }
    }
  }
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  /* error: Duplicate unicast block: Only one unicast block is allowed. Another was defined at testdata/invalid/dynamic.hcl:32,140-157. */ dynamic "unicast" {
    for_each = [1, 2]
    content {
      source = "10.0.0.2"
      peers  = ["10.0.0.3", "10.0.0.${unicast.key + 255}", unicast]
    }
  }
  dynamic /* error: Unsupported block type: Blocks of type "track_interfaces" cannot be made here. Did you mean "track_interface"? */ "track_interfaces" {
    for_each = []
    labels   = []
    content {}
  }
  dynamic /* error: Unsupported block type: Blocks of type "interface" cannot be made here. */ "interface" {
    for_each = []
    content {}
  }
  dynamic /* error: Unsupported block type: Blocks of type "variable" cannot be made here. */ "variable" {}
  dynamic "track_file" {
    for_each = ["a"]
    labels   = /* error: Invalid labels: A track_file block has one label: write labels = [EXPRESSION], such as labels = [track_file.key]. */ [track_file.key, track_file.value]
    content {}
  }
  /* error: Invalid labels: A track_file block has one label: write labels = [EXPRESSION], such as labels = [track_file.key]. */ dynamic "track_file" {
    for_each = ["a"]
    content {}
  }
  /* error: Invalid dynamic block: A dynamic block has one content block: what each block that it makes has in it. */ dynamic "auth" {
    for_each = {}
    labels   = ["pass"]
  }
  dynamic "track_interface" {
    for_each = /* error: Invalid for_each: for_each takes a list or a map, not "eth1". */ "eth1"
    labels   = ["a"]
    content {}
  }
  dynamic "track_interface" {
    for_each = /* error: Invalid for_each: for_each takes a list or a map, not null. var.none is null, set at testdata/invalid/dynamic.hcl:4. */ var.none
    labels   = ["a"]
    content {}
  }
  dynamic "track_interface" {
    for_each = [["a"]]
    labels   = [/* error: Invalid labels: A label is a text, not a list. */ track_interface.value]
    content {}
  }
  dynamic "track_interface" {
    for_each = ["a"]
    iterator = /* error: Invalid iterator: iterator takes a name, without quotes. */ "a b"
    labels   = ["x"]
    content {}
  }
  dynamic "track_interface" /* error: Missing required argument: The argument "for_each" is required, but no definition was found. */ {
    labels = ["x"]
    content {}
  }
  dynamic "gratuitous_arp" {
    for_each = [1]
    labels   = /* error: Invalid labels: A gratuitous_arp block has no label. */ ["x"]
    content {}
  }
}
