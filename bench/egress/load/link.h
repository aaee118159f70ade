// A TLS connection to the site, made the way the job says: to the address the name means, to another one, or through
// a proxy that wants CONNECT. Setting up blocks; what comes after does not.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace load {

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Place {
  std::string host, port;  // what the certificate and the request name
  std::string to;          // ADDRESS:PORT dialled instead; empty: what the resolver says
  std::string via;         // ADDRESS:PORT of a proxy that wants CONNECT; empty: none
  bool h2 = false;
};

struct FreeContext {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;
// `ca`: a PEM file; empty: where OpenSSL looks (SSL_CERT_FILE).
Context make_context(const std::string& ca);

class Link {
 public:
  Link(SSL_CTX* context, const Place& place);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  int fd() const { return fd_; }
  void set_nonblocking();
  // How many bytes; 0: not now. Throws at the end of the connection.
  std::size_t read(char* into, std::size_t size);
  std::size_t write(std::string_view bytes);
  bool pending() const { return ::SSL_has_pending(ssl_) == 1; }

 private:
  void dial(const std::string& host, const std::string& port);
  void ask_proxy(const Place& place);
  std::size_t step(int result, std::size_t moved);

  int fd_ = -1;
  SSL* ssl_ = nullptr;
};

}  // namespace load
