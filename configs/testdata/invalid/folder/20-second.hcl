virtual_server /* error: Duplicate virtual_server name: "web" is already used at testdata/invalid/folder/10-first.hcl:1. */ "web" {
  address = /* error: Duplicate service: 10.0.0.100:80/tcp is already used at testdata/invalid/folder/10-first.hcl:2. */ "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
