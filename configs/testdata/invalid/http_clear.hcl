http {
  listen     = ":9652"
  basic_auth = /* warning: Passwords in the clear: Whoever listens on the way reads them: add a tls block, or listen on 127.0.0.1. */ { admin = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy" }
}
