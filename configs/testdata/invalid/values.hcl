director {
  name           = /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ ""
  control_socket = /* error: Invalid control_socket: control_socket takes an absolute path, which starts with "/". */ "control.sock"
  state_dir      = /* error: Invalid state_dir: state_dir takes an absolute path, which starts with "/". */ "state"
}
log {
  level  = /* error: Invalid level: level takes one of debug, info, warn, error, not "warning". */ "warning"
  format = /* error: Invalid format: format takes one of auto, text, json, not 5. */ 5
}
http {
  listen = /* error: Invalid listen: listen takes HOST:PORT such as "127.0.0.1:9652" or ":9652", or "" for off. */ "127.0.0.1"
}
