http {
  listen = "0.0.0.0:9652"
  basic_auth = /* warning: Passwords in the clear: Whoever listens on the way reads them: add a tls block, or listen on 127.0.0.1. */ {
    /* error: Invalid basic_auth: basic_auth takes names of 1 to 63 characters without a colon or white space. */ "a:b"  = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    plain  = /* error: Invalid basic_auth: basic_auth takes what bcrypt makes of a password, such as "htpasswd -nB USER" prints after the colon. */ "secret"
    short  = /* error: Invalid basic_auth: basic_auth takes what bcrypt makes of a password, such as "htpasswd -nB USER" prints after the colon. */ "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhW"
    costly = /* error: Invalid basic_auth: basic_auth takes hashes of a cost up to 14, not 15: a director has other work. */ "$2y$15$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    fine   = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    /* error: Duplicate user: fine is already used at testdata/invalid/http.hcl:8. */ "fine" = "$2a$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    number = /* error: Invalid basic_auth: basic_auth takes a text in quotes, not 1. */ 1
  }
}
