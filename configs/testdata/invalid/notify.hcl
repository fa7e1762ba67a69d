director {
  realtime = /* error: Invalid realtime: realtime takes true or false, without quotes, not "on". */ "on"
}
/* error: Missing command: command or webhook is required in this block. */ notify {
}
/* error: Missing command: command or webhook is required in this block. */ notify {
  webhook = ""
}
notify {
  command = ["/usr/lib/holdfast/notify"]
  webhook = /* error: Two targets: A notify block has either command or webhook: write a second block. */ "https://ops.example.com/"
}
notify {
  webhook = /* error: Invalid webhook: webhook takes a URL of http or https, such as "https://ops.example.com/holdfast". */ "ftp://ops.example.com/"
}
notify {
  webhook = /* error: Invalid webhook: webhook takes a URL of http or https, such as "https://ops.example.com/holdfast". */ "ops.example.com/holdfast"
}
notify {
  webhook = /* error: Invalid webhook: webhook takes a URL of http or https, such as "https://ops.example.com/holdfast". */ "https:///holdfast"
}
notify {
  events  = ["reload", /* error: Invalid events: events takes one of virtual_router, virtual_address, failover, real_server, virtual_server, reload, not "virtual_sever"; did you mean "virtual_server"? */ "virtual_sever", /* error: Duplicate event: reload is already used at testdata/invalid/notify.hcl:23. */ "reload"]
  command = [/* error: Invalid command: command takes a program with its whole path, which starts with "/": neither a shell nor PATH is asked. */ "notify"]
  timeout = /* error: Invalid timeout: timeout takes a text with a unit: write "10s". */ 10
}
notify {
  events  = /* error: Invalid events: events takes at least one kind; without events, all are told. */ []
  webhook = "https://ops.example.com/"
  /* warning: No effect: user is whom a command runs as; a webhook has none. */ user = "ops"
}
