# One file for both directors, in which what repeats itself is written once.
#
# The directors differ in nothing but what is said when they are started:
#
#   lb1: holdfast run -c variables.hcl --var priority=100
#   lb2: holdfast run -c variables.hcl --var priority=90
#
# director.name is the host's name, because nothing else is said. Both together are checked by
#
#   holdfast check -c variables.hcl --peer variables.hcl --peer-var priority=90

variable "priority" {
  default = 100
}

variable "address" {
  default = "10.0.0.100"
}

# The services by name: the port, and whether the check speaks HTTP.
variable "services" {
  default = {
    web  = { port = 80, path = "/health" }
    mail = { port = 25, path = "" }
  }
}

variable "servers" {
  default = {
    node1 = { address = "10.0.0.21", weight = 2 }
    node2 = { address = "10.0.0.22", weight = 1 }
  }
}

virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = var.priority
  addresses = ["${var.address}/32"]
}

dynamic "virtual_server" {
  for_each = var.services
  iterator = service
  labels   = [service.key]

  content {
    address = "${var.address}:${service.value.port}"
    forward = "dr"

    # No element, no block: each service has one of the two checks.
    dynamic "check" {
      for_each = service.value.path == "" ? [] : [service.value.path]
      labels   = ["http"]
      content {
        path = check.value
      }
    }
    dynamic "check" {
      for_each = service.value.path == "" ? ["smtp"] : []
      labels   = [check.value]
      content {}
    }

    dynamic "real_server" {
      for_each = var.servers
      labels   = [real_server.key]
      content {
        address = real_server.value.address
        weight  = real_server.value.weight
      }
    }
  }
}
