dynamic /* error: Unsupported block type: Blocks of type "variable" cannot be made here. */ "variable" {
  for_each = ["a"]
  labels   = ["a"]
  content {}
}
log {
  /* error: Unsupported block type: Blocks of type "dynamic" are not expected here. */ dynamic "x" {}
}
