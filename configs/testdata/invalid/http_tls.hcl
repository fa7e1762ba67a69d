http {
  /* error: Missing certificate: certificate is required in this block. */ tls {
    key       = /* error: Invalid key: key takes an absolute path, which starts with "/". */ "tls.key"
    client_ca = /* warning: Unusable file: stat /nonexistent/ca.crt: no such file or directory: as long as it is so, holdfast does not start. */ "/nonexistent/ca.crt"
    /* error: Unsupported argument: An argument named "verify" is not expected here. */ verify    = true
  }
}
