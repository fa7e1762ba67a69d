virtual_server "a" {
  address = "10.0.0.100:80"
  check "http" {
    name    = "parts"
    scheme  = /* error: Invalid scheme: scheme takes one of http, https, not "ftp"; did you mean "http"? */ "ftp"
    method  = /* error: Invalid method: method takes a method in capitals: write "POST". */ "post"
    body    = /* error: Invalid body: body takes a text in quotes, not 1. */ 1
    http2   = /* error: Invalid http2: http2 takes true or false, without quotes, not "h2c". */ "h2c"
    digest  = /* error: Invalid digest: digest takes 64 hexadecimal digits after "sha256:". */ "sha256:00"
    max_body  = /* error: Invalid max_body: max_body takes a whole number from 1 to 67108864, not 0. */ 0
    redirects = /* error: Invalid redirects: redirects takes true or false, without quotes, not 3. */ 3
    headers = {
      /* error: Invalid headers: headers takes names of letters, digits and hyphens, not "X Y". */ "X Y" = "a"
      /* error: Invalid headers: headers takes names of letters, digits and hyphens, not "X\r\nY". */ "X\r\nY" = "a"
      /* error: Invalid headers: headers takes no Host: the attribute host is for it. */ host = "www.example.com"
      /* error: Invalid headers: headers takes no Content-Length, which the check sees to. */ Content-Length = "1"
      /* error: Invalid headers: headers takes no Connection, which the check sees to. */ "connection" = "close"
      Accept     = /* error: Invalid headers: headers takes values of one line, without control characters, and without white space around them. */ "text/html\r\nX: y"
      X-Blank    = /* error: Invalid headers: headers takes values of one line, without control characters, and without white space around them. */ " a"
      X-Number   = /* error: Invalid headers: headers takes a text in quotes, not 1. */ 1
      X-Variable = /* error: Unknown variable: No variable "a" is declared: write variable "a" { default = … }, or without a default and set it with --var. */ var.a
      /* error: Duplicate header: X-Blank is already used at testdata/invalid/check_http.hcl:19. */ "x-blank" = "b"
      (/* error: Invalid headers: headers takes a text in quotes: write "X-Word". */ X-Word) = "a"
    }
  }
  check "http" {
    name    = "list"
    headers = /* error: Invalid headers: headers is a map, such as { Accept = "text/plain" }, not a list. */ ["Accept: text"]
    method  = /* error: Invalid method: method takes no CONNECT, which has no answer of its own. */ "CONNECT"
    digest  = /* error: Invalid digest: digest takes "sha256:" or "md5:" and the digest in hexadecimal digits. */ "sha1:00"
  }
  check "http" {
    name    = "text"
    headers = /* error: Invalid headers: headers is a map, such as { Accept = "text/plain" }, not "Accept: text". */ "Accept: text"
    method  = /* error: Invalid method: method takes the method of a request such as "GET". */ "GET /"
    digest  = /* error: Invalid digest: digest takes 32 hexadecimal digits after "md5:". */ "md5:0123456789abcdef0123456789abcdeg"
    host    = /* error: Invalid host: host takes a host name such as "www.example.com", or an IPv6 address in brackets. */ "bücher.example"
  }
  check "http" {
    name = "relative"
    url  = /* error: Invalid url: url takes a URL of http or https, such as "http://www.example.com/health". */ "/health"
  }
  check "http" {
    name = "scheme"
    url  = /* error: Invalid url: url takes a URL of http or https, such as "http://www.example.com/health". */ "ftp://www.example.com/"
  }
  check "http" {
    name = "user"
    url  = /* error: Invalid url: url takes a URL without a user: write an Authorization among the headers. */ "http://me:secret@www.example.com/"
  }
  check "http" {
    name = "port"
    url  = /* error: Invalid url: url takes a port from 1 to 65535, not 65536. */ "http://www.example.com:65536/"
  }
  check "http" {
    name = "idn"
    url  = /* error: Invalid url: url takes a URL of http or https, such as "http://www.example.com/health". */ "http://bücher.example/"
  }
  check "http" {
    name = "fragment"
    url  = /* error: Invalid url: url takes a URL of http or https, such as "http://www.example.com/health". */ "http://www.example.com/#top"
  }
  check "http" {
    name = "twice"
    url  = "http://www.example.com/"
    /* error: Said twice: url says path already: remove one of both. */ path = "/health"
    /* error: Said twice: url says host already: remove one of both. */ host = "example.com"
    /* error: Said twice: url says scheme already: remove one of both. */ scheme = "http"
  }
  check "http" {
    name = "url-without-tls"
    url  = "http://www.example.com/"
    /* error: Contradictory tls: url says http: write https to ask by TLS, or remove the tls block. */ tls {}
  }
  check "http" {
    name   = "scheme-without-tls"
    scheme = "http"
    /* error: Contradictory tls: scheme says http: write https to ask by TLS, or remove the tls block. */ tls {}
  }
  check "http" {
    name = "host-without-brackets"
    host = /* error: Invalid host: host takes a host name such as "www.example.com", or an IPv6 address in brackets. */ "2001:db8::1"
  }
  check "http" {
    name = "host-half"
    host = /* error: Invalid host: host takes a host name such as "www.example.com", or an IPv6 address in brackets. */ "[2001:db8::1"
  }
  check "http" {
    name = "host-without-name"
    host = /* error: Invalid host: host takes a host name such as "www.example.com", or an IPv6 address in brackets. */ ":80"
  }
  real_server "web1" {
    address = "10.0.0.21"
  }
}
