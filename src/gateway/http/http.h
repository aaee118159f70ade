// gateway/http/: HTTP/1.1 on both sides. Three layers, and a message passes only when all agree:
//   1. the gate (gate.h): our own, strict, refuses only; looks at the raw head before anything parses it
//   2. Boost.Beast's parser: gives the fields and decodes the body framing
//   3. the comparison: what Beast understood must be byte for byte what the gate saw
// Out of 49 malformed or mismatched requests the usual proxies accepted 11–16; here it is none (refused_test.cc).
// Serialising (serialise.cc) starts from our own struct, never from received bytes.
//
// Beast is heavy to compile, so it stays inside reader.cc. All limits are in Limits below.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "gateway/lane.h"

namespace bulkhead::http {

struct Limits {
  std::size_t head = 64 * 1024;  // the whole head
  std::size_t headers = 100;     // fields
  std::size_t target = 16 * 1024;
  std::size_t chunk_line = 256;  // extensions are refused anyway
};

// What a peer sent and we will not take. `status` is what to answer (400, 405, 413, 417, 421, 431, 501, 505).
struct Refusal {
  std::uint16_t status = 400;
  std::string reason;  // stable word for evidence: "host-duplicate", "te-and-cl", "obs-fold", …
  std::string text;    // one line for people
};

struct RequestHead {
  std::string method;     // upper case token
  std::string target;     // origin-form only
  std::string host;       // the Host header's value, as received (with a port when it has one)
  lane::Headers headers;  // names lower case, values without surrounding blanks, in order; Host and framing included
  lane::BodyKind body = lane::BodyKind::none;
  std::uint64_t body_length = 0;
  bool keep_alive = true;
  bool expect_continue = false;
  bool websocket = false;  // asks to become one (RFC 6455 §4.1), in the one well-formed way
};

struct ResponseHead {
  std::uint16_t status = 0;
  lane::Headers headers;
  lane::BodyKind body = lane::BodyKind::none;  // streamed also for "until close"
  std::uint64_t body_length = 0;               // with BodyKind::none: what an answer to HEAD declares
  bool keep_alive = true;
  bool until_close = false;
};

// Reads one message. feed() consumes a prefix of `bytes` and appends decoded body bytes to `body`; it never
// consumes beyond the message's end (pipelined bytes stay with the caller). After a Refusal the reader is dead.
enum class State { head, body, done };

class RequestReader {
 public:
  explicit RequestReader(Limits limits = {});
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;

  // Stops after the head (state() == body or done), so that the caller decides before a byte of body is read.
  tl::expected<std::size_t, Refusal> feed(std::string_view bytes, std::string& body);
  State state() const;
  const RequestHead& head() const;  // valid once state() != head

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads the head of a CONNECT on the proxy port, and nothing beyond it.
class ConnectReader {
 public:
  explicit ConnectReader(Limits limits = {});
  ~ConnectReader();
  ConnectReader(const ConnectReader&) = delete;
  ConnectReader& operator=(const ConnectReader&) = delete;

  // How many bytes belong to the head.
  tl::expected<std::size_t, Refusal> feed(std::string_view bytes);
  bool done() const;
  const std::string& target() const;  // HOST:PORT, as received; valid once done()

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseReader {
 public:
  // `method` of the request it answers (HEAD has no body). 1xx heads other than 101 are consumed silently, at
  // most 8 of them; 101 is a Refusal, unless the request asked for it (`may_switch`): then the answer ends with its
  // head, and what follows on the connection is no HTTP.
  explicit ResponseReader(std::string_view method, Limits limits = {}, bool may_switch = false);
  ~ResponseReader();
  ResponseReader(ResponseReader&&) noexcept;
  ResponseReader& operator=(ResponseReader&&) noexcept;

  tl::expected<std::size_t, Refusal> feed(std::string_view bytes, std::string& body);
  // The peer closed: done for an until-close body, a Refusal ("truncated") anywhere else but before the first byte.
  tl::expected<void, Refusal> finish();
  State state() const;
  const ResponseHead& head() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Heads as bytes, from our own structs. Every value was checked before; a CR, LF or NUL here is a programming
// error and aborts. Framing and connection headers are written here, never taken from `headers`.
std::string serialise_request(std::string_view method, std::string_view host_header, std::string_view target,
                              const lane::Headers& headers, lane::BodyKind body, std::uint64_t body_length);
// BodyKind::none with a length writes that length: an answer to HEAD. `answers_head`: without one, write none at all.
std::string serialise_response(std::uint16_t status, const lane::Headers& headers, lane::BodyKind body,
                               std::uint64_t body_length, bool keep_alive, bool answers_head = false);
// A WebSocket's opening handshake, asked and answered; `protocol` may be empty.
std::string serialise_upgrade(std::string_view host_header, std::string_view target, const lane::Headers& headers,
                              std::string_view key);
std::string serialise_switch(std::string_view accept, std::string_view protocol);
// One chunk of a streamed body; an empty one would end it, so it is never written. last_chunk() ends it.
std::string chunk(std::string_view bytes);
std::string last_chunk();

}  // namespace bulkhead::http
