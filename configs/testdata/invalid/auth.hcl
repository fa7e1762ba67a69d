virtual_router "v3" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  /* error: VRRPv3 has no authentication: RFC 5798 has removed it, for a password in clear text kept nobody out: remove the block, or write version = 2. */ auth "pass" {
    password = "secret"
  }
}
virtual_router "v2" {
  interface = "eth0"
  id        = 52
  version   = 2
  addresses = ["10.0.0.101/32"]
  auth "pass" {
    password = /* error: Invalid password: password takes 1 to 8 ASCII characters without white space; keepalived cuts a longer one off after 8. */ "ninechars"
    /* error: Unsupported argument: keys belongs to auth hmac, not to auth "pass". */ keys = {}
  }
  /* error: Duplicate auth block: A virtual_router has one auth block at most. */
  /* error: Missing password: password is required in this block. */ auth "pass" {
  }
}
virtual_router "kinds" {
  interface = "eth0"
  id        = 53
  version   = 2
  addresses = ["10.0.0.102/32"]
  auth /* error: Invalid auth: auth takes one of pass, not "pas"; did you mean "pass"? */ "pas" {
    password = "x"
  }
}
virtual_router "blank" {
  interface = "eth0"
  id        = 54
  version   = 2
  addresses = ["10.0.0.103/32"]
  auth "pass" {
    password = /* error: Invalid password: password takes 1 to 8 ASCII characters without white space; keepalived cuts a longer one off after 8. */ ""
  }
}
