#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace load {
namespace {

std::string reason(const std::string& what) {
  const unsigned long code = ::ERR_peek_last_error();
  ::ERR_clear_error();
  return what + ": " + (code != 0 ? ::ERR_reason_error_string(code) : ::strerror(errno));
}

std::pair<std::string, std::string> split(const std::string& place) {
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos) throw Failed("no port in " + place);
  return {place.substr(0, colon), place.substr(colon + 1)};
}

}  // namespace

Context make_context(const std::string& ca) {
  Context context(::SSL_CTX_new(::TLS_client_method()));
  if (!context) throw Failed(reason("SSL_CTX_new"));
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const bool trusted = ca.empty() ? ::SSL_CTX_set_default_verify_paths(context.get()) == 1
                                  : ::SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr) == 1;
  if (!trusted) throw Failed(reason("the CA file"));
  return context;
}

Link::Link(SSL_CTX* context, const Place& place) {
  try {
    if (!place.via.empty()) {
      const auto [host, port] = split(place.via);
      dial(host, port);
      ask_proxy(place);
    } else if (!place.to.empty()) {
      const auto [host, port] = split(place.to);
      dial(host, port);
    } else {
      dial(place.host, place.port);
    }
    ssl_ = ::SSL_new(context);
    const std::string_view offered = place.h2 ? std::string_view("\x02h2") : std::string_view("\x08http/1.1");
    ::SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(offered.data()),
                          static_cast<unsigned>(offered.size()));
    ::SSL_set_tlsext_host_name(ssl_, place.host.c_str());
    ::SSL_set1_host(ssl_, place.host.c_str());
    ::SSL_set_fd(ssl_, fd_);
    if (::SSL_connect(ssl_) != 1) throw Failed(reason("TLS with " + place.host));
    const unsigned char* name = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(ssl_, &name, &size);
    const bool agreed = std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
    if (agreed != place.h2) throw Failed("the other side does not speak this version of HTTP");
  } catch (...) {
    ::SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

Link::~Link() {
  ::SSL_shutdown(ssl_);
  ::SSL_free(ssl_);
  ::ERR_clear_error();
  ::close(fd_);
}

void Link::dial(const std::string& host, const std::string& port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = AF_INET;
  if (const int bad = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); bad != 0) {
    throw Failed("resolving " + host + ": " + ::gai_strerror(bad));
  }
  fd_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int connected = ::connect(fd_, found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  if (connected != 0) throw Failed(reason("connecting to " + host + ":" + port));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Link::ask_proxy(const Place& place) {
  const std::string target = place.host + ":" + place.port;
  const std::string words = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
  if (::send(fd_, words.data(), words.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(words.size())) {
    throw Failed(reason("CONNECT"));
  }
  std::string answer;
  while (!answer.ends_with("\r\n\r\n")) {
    char byte = 0;
    if (::recv(fd_, &byte, 1, 0) != 1 || answer.size() > 8192) throw Failed("CONNECT: no answer");
    answer += byte;
  }
  if (answer.find(" 200") > 12) throw Failed("CONNECT: " + answer.substr(0, answer.find('\r')));
}

void Link::set_nonblocking() {
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

std::size_t Link::step(int result, std::size_t moved) {
  if (result == 1) return moved;
  const int error = ::SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
  throw Failed(error == SSL_ERROR_ZERO_RETURN ? "the connection was closed" : reason("the connection broke"));
}

std::size_t Link::read(char* into, std::size_t size) {
  std::size_t moved = 0;
  ::ERR_clear_error();
  errno = 0;
  return step(::SSL_read_ex(ssl_, into, size, &moved), moved);
}

std::size_t Link::write(std::string_view bytes) {
  std::size_t moved = 0;
  ::ERR_clear_error();
  errno = 0;
  return step(::SSL_write_ex(ssl_, bytes.data(), bytes.size(), &moved), moved);
}

}  // namespace load
