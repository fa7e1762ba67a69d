director {
  control_socket = /* error: Invalid control_socket: control_socket takes at most 107 bytes: the kernel's limit for a socket. */ "/run/holdfast/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sock"
}
