variable /* error: Invalid name: The name of a variable consists of letters, digits, _ and -, and begins with a letter. */ "a b" {}
variable "first" {
  default = /* error: Unknown name: No variable can be used here: its value may depend on them. */ var.second
}
variable "second" {
  default = [1, null, "x${env(/* error: Invalid function argument: Invalid value for "name" parameter: the environment has no HOLDFAST_TEST_UNSET: set it, or write env(NAME, DEFAULT). */ upper("holdfast_test_unset"))}"]
}
variable /* error: Duplicate variable: second is already used at testdata/invalid/variables.hcl:5. */ "second" {
  default = 1
}
variable /* error: Missing value: variable "third" has no default: set it with --var third=VALUE. */ "third" {
  /* error: Unsupported argument: An argument named "type" is not expected here. */ type = "number"
}
variable /* error: Missing name for variable: All variable blocks must have 1 labels (name). */ {}
log {
  level = var.third
  format = var
}
