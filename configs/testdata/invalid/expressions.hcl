variable "count" {
  default = 300
}
variable "names" {
  default = ["web", "mail!"]
}
variable /* error: Missing value: variable "unset" has no default: set it with --var unset=VALUE. */ "unset" {}
log {
  level  = env(/* error: Invalid function argument: Invalid value for "name" parameter: the environment has no HOLDFAST_TEST_UNSET: set it, or write env(NAME, DEFAULT). */ upper("holdfast_test_unset"))
  format = /* error: Invalid format: format takes a text in quotes: write "text". */ text
}
director {
  name          = /* error: Call to unknown function: There is no function named "unknown". */ unknown(1)
  control_group = "a${/* error: Unknown variable: No variable "cuont" is declared; did you mean "count"? */ var.cuont}"
  state_dir     = /* error: Unknown name: A variable is named with var.: write var.count. */ count
}
virtual_router "web" {
  interface = var.unset
  id        = /* error: Invalid id: id takes a whole number from 1 to 255, not 299. var.count is 300, set at testdata/invalid/expressions.hcl:1. */ var.count - 1
  priority  = /* error: Invalid priority: priority takes a whole number from 1 to 255, not 300. var.count is 300, set at testdata/invalid/expressions.hcl:1. */ true ? var.count : 2
  addresses = /* error: Invalid addresses: addresses takes "ADDR/LEN" or "ADDR/LEN dev IFACE", not "10.0.0.100/300". var.count is 300, set at testdata/invalid/expressions.hcl:1. */ [for a in ["10.0.0.100"] : "${a}/${var.count}"]
  source    = /* error: Invalid source: source takes an IP address, not "10.0.0.300". var.count is 300, set at testdata/invalid/expressions.hcl:1. */ "10.0.0.${var.count}"
}
