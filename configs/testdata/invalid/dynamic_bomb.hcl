dynamic "notify" {
  for_each = /* error: Too much to work out: The expressions and dynamic blocks of the configuration make too many blocks, or too long texts and lists: write less of them, or generate the file. */ flatten([for a in range(100) : range(1000)])
  content {
    command = ["/bin/true"]
  }
}
