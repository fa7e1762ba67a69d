log {
  level  = "a${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ true}"
  format = "a${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ null}"
}
virtual_router "web" {
  interface          = "eth${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 0}"
  id                 = /* error: Not supported yet: Expressions are not supported yet: write the value itself. */ "${51}"
  advertise_interval = "${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 1}s"
  addresses          = ["10.0.0.${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 1}/32", "10.0.0.2/32"]
}
virtual_server "web" {
  address   = "10.0.0.${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 1}:80"
  scheduler = "a${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 1}"
  check "http" {
    path   = <<-EOT
      /${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 1}
    EOT
    status = "${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ 2}00"
  }
  real_server "web1" {
    address = "10.0.0.21"
    weight  = ("a${/* error: Not supported yet: Expressions are not supported yet; a "${" that is meant as text is written "$${". */ -1}")
  }
}
