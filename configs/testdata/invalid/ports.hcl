virtual_server "every" {
  address = /* error: Invalid address: address takes port 0, which stands for every port, only with a persistence block: a client's connections belong together then. */ "10.0.0.100:0"
  real_server "web1" {
    address = "10.0.0.21"
  }
}
virtual_server "mapped" {
  address = "10.0.0.101:0"
  persistence {}
  check /* error: Missing port: real_server "web2" has no port: say which one to ask, with port = 80 for example. */ "tcp" {
    name = "a"
  }
  check "tcp" {
    name = "b"
    port = 80
  }
  real_server "web1" {
    address = /* error: Invalid address: address takes no port here: with persistence the kernel keeps the port that the client asked for; write "10.0.0.21", and port = 80 in its checks. */ "10.0.0.21:80"
  }
  real_server "web2" {
    address = "10.0.0.22"
  }
  real_server "web3" {
    address = /* error: Invalid address: address takes another address than the service's own, 10.0.0.101:0: connections and checks would come back to the service. */ "10.0.0.101"
  }
}
virtual_server "path" {
  address = "10.0.0.102:0"
  forward = "dr"
  persistence {}
  check "tcp" {
    port = 80
    via  = /* error: Invalid via: via takes path only in a service of one address and port: write "direct". */ "path"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
