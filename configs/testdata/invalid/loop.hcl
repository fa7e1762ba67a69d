virtual_server "a" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = /* error: Invalid address: address takes another address than the service's own, 10.0.0.100:80: connections and checks would come back to the service. */ "10.0.0.100:80"
  }
  real_server "web2" {
    address = "10.0.0.100:8080" # another port
  }
}
virtual_server "b" {
  address = "[2001:db8::100]:80"
  forward = "dr"
  real_server "web1" {
    address = /* error: Invalid address: address takes another address than the service's own, [2001:db8::100]:80: connections and checks would come back to the service. */ "2001:db8::100"
  }
}
