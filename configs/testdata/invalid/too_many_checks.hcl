virtual_server "a" {
  address = "10.0.0.100:80"
  check "tcp" {
    name = "c0"
  }
  check "tcp" {
    name = "c1"
  }
  check "tcp" {
    name = "c2"
  }
  check "tcp" {
    name = "c3"
  }
  check "tcp" {
    name = "c4"
  }
  check "tcp" {
    name = "c5"
  }
  check "tcp" {
    name = "c6"
  }
  check "tcp" {
    name = "c7"
  }
  check "tcp" {
    name = "c8"
  }
  check "tcp" {
    name = "c9"
  }
  check "tcp" {
    name = "c10"
  }
  check "tcp" {
    name = "c11"
  }
  check "tcp" {
    name = "c12"
  }
  check "tcp" {
    name = "c13"
  }
  check "tcp" {
    name = "c14"
  }
  check "tcp" {
    name = "c15"
  }
  check "tcp" {
    name = "c16"
  }
  check "tcp" {
    name = "c17"
  }
  check "tcp" {
    name = "c18"
  }
  check "tcp" {
    name = "c19"
  }
  check "tcp" {
    name = "c20"
  }
  check "tcp" {
    name = "c21"
  }
  check "tcp" {
    name = "c22"
  }
  check "tcp" {
    name = "c23"
  }
  check "tcp" {
    name = "c24"
  }
  check "tcp" {
    name = "c25"
  }
  check "tcp" {
    name = "c26"
  }
  check "tcp" {
    name = "c27"
  }
  check "tcp" {
    name = "c28"
  }
  check "tcp" {
    name = "c29"
  }
  check "tcp" {
    name = "c30"
  }
  check "tcp" {
    name = "c31"
  }
  /* error: Too many checks: At most 32 checks fit in one place. */ check "tcp" {
    name = "c32"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
