// For bodies: OpenSSL makes a system call of each TLS record, and TCP a packet (and the reader's waking) of each call.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cstddef>

namespace bulkhead::tls {

inline constexpr std::size_t record = SSL3_RT_MAX_PLAIN_LENGTH;

// While it lives, the records of one write of more than one go out together (tcp(7), TCP_CORK). Only where a packet
// holds several, as on the loopback: where a record is many packets anyway, holding back costs more than it saves
// (bench/egress: twice the CPU of an upload over a veth).
class Together {
 public:
  Together(int socket, std::size_t bytes) : socket_(bytes > record && large_packets(socket) ? socket : -1) { set(1); }
  ~Together() { set(0); }
  Together(const Together&) = delete;
  Together& operator=(const Together&) = delete;

 private:
  static bool large_packets(int socket) {
    int segment = 0;
    socklen_t size = sizeof segment;
    return ::getsockopt(socket, IPPROTO_TCP, TCP_MAXSEG, &segment, &size) == 0 &&
           static_cast<std::size_t>(segment) >= 2 * record;
  }
  void set(int on) const {
    if (socket_ >= 0) (void)::setsockopt(socket_, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
  }
  int socket_;
};

// How many whole records one read takes, from the next time that the buffer is made; 0: OpenSSL's default, which is
// one. Needs SSL_CTX_set_read_ahead.
inline void read_records(SSL* ssl, std::size_t count) {
  constexpr std::size_t on_the_wire = record + SSL3_RT_HEADER_LENGTH + EVP_GCM_TLS_TAG_LEN + 1;  // TLS 1.3
  ::SSL_set_default_read_buffer_len(ssl, count * on_the_wire);
}

}  // namespace bulkhead::tls
