log {
  level  = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ env("LEVEL")
  format = /* error: Invalid format: format takes a text in quotes: write "text". */ text
}
virtual_router "web" {
  interface = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ var.interface
  id        = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ 50 + 1
  priority  = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ true ? 1 : 2
  addresses = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ [for a in ["10.0.0.100"] : "x"]
  source    = "10.0.0.${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ var.last}"
}
