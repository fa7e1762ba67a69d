variable "long" {
  default = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
}
director {
  name          = /* error: Error in function call: Call to function "replace" failed: the result could have 101000000 bytes: at most 1048576 are taken. */ replace(replace(replace(var.long, "x", var.long), "x", var.long), "x", var.long)
  control_group = /* error: Error in function call: Call to function "format" failed: the result could have 1048577 bytes: at most 1048576 are taken. */ format("%999999999d", 1)
  state_dir     = /* error: Invalid state_dir: state_dir takes a text in quotes, not …. */ "${1e999999999}"
}
