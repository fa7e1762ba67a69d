# A name that is a default is taken, too.
virtual_server "a" {
  address = "10.0.0.100:80"
  check "http" {}
  check "tcp" {
    name = /* error: Duplicate check name: "http" is already used at testdata/invalid/check_names.hcl:4. */ "http"
  }
  real_server "web1" {
    address = "10.0.0.21"
    check "http" {
      name = "tcp"
    }
    check /* error: Duplicate check name: "tcp" is already used at testdata/invalid/check_names.hcl:11. */ "tcp" {}
  }
  real_server "web2" {
    address = "10.0.0.22"
    /* error: Missing name: There are 2 checks "tcp" here: each needs a name. */ check "tcp" {}
    /* error: Missing name: There are 2 checks "tcp" here: each needs a name. */ check "tcp" {}
    check "http" {
      name = "tcp"
    }
  }
  real_server "web3" {
    address = "10.0.0.23"
    check "http" {
      name = "tcp"
    }
    check "tcp" {
      name = "http"
    }
  }
}
