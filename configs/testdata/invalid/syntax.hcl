# A fault of syntax hides what else is wrong: here, what the block lacks.
virtual_router "web" {
  advertise_interval = 1 /* error: Missing newline after argument: An argument definition must end with a newline. */ second
}
