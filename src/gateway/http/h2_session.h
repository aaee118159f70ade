// One HTTP/2 connection, either side of it, in memory: bytes of the peer in, bytes for the peer out, and what happened
// to which stream in between. nghttp2 speaks the protocol; the gate (h2_gate.h) stands before it, the rules
// (h2_rules.h) behind it. No I/O, no clock of its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gateway/http/h2_gate.h"
#include "gateway/http/http.h"

struct nghttp2_session;

namespace bulkhead::http {

// HTTP/2 error codes (RFC 9113 §7) that we use ourselves.
enum class H2Code : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  stream_closed = 5,
  refused_stream = 7,
  cancel = 8,
  enhance_your_calm = 11,
  http_1_1_required = 13
};
const char* name_of_h2_code(std::uint32_t code);

// A header block as it was decoded. What is past the limits was not kept.
struct H2Block {
  lane::Headers fields;
  bool too_large = false;
};

// What a stream has to send next.
struct H2Supply {
  std::size_t bytes = 0;                    // put into `into`
  bool wait = false;                        // nothing yet: H2Session::resume() when there is
  bool end = false;                         // these were the last
  const lane::Headers* trailers = nullptr;  // with `end`: fields that follow, or null
};

// Called from within receive() and send(): note what happened, and act when they have returned. Calling the session's
// consumed(), reset() and resume() is allowed, its receive() and send() not.
class H2Handler {
 public:
  virtual void on_block(std::int32_t stream, H2Block block, bool ended) = 0;  // heads and trailers, in order
  // Every byte given here is to be given back with consumed(), some time.
  virtual void on_data(std::int32_t stream, std::string_view bytes) = 0;
  virtual void on_end(std::int32_t stream) = 0;  // the last DATA frame; not called for a block with `ended`
  virtual void on_closed(std::int32_t stream, std::uint32_t code) = 0;
  // A block that the library refused; the stream is reset.
  virtual void on_malformed(std::int32_t stream, std::string why) = 0;
  virtual H2Supply on_read(std::int32_t stream, std::span<char> into) = 0;
  virtual void on_sent_end(std::int32_t stream) = 0;  // the last of our half is with send()'s caller
  virtual void on_goaway(std::int32_t last_stream) = 0;

 protected:
  ~H2Handler() = default;
};

class H2Session {
 public:
  using Clock = FrameGate::Clock;
  enum class Role { server, client };
  struct Options {
    H2Limits limits = {};
    Limits head = {};
    bool wipe = false;  // memory is wiped before it is freed: credentials pass through
  };

  // `handler` outlives it. Begins with our SETTINGS in send().
  H2Session(Role role, H2Handler& handler, const Options& options);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // After a violation: give the peer what send() still has (the GOAWAY), then close.
  tl::expected<void, H2Violation> receive(std::string_view bytes, Clock::time_point now);
  // Why the connection ends; also set by send(), where the library ends it by itself.
  const std::optional<H2Violation>& violated() const { return violated_; }
  // Appends what is to be sent, until `out` has about `at_most` bytes or there is nothing.
  void send(std::string& out, std::size_t at_most);
  // Neither side has anything to say any more.
  bool finished() const;
  bool in_head() const { return gate_.in_head(); }

  // Server. `body`: on_read() supplies one. False: the stream is gone.
  bool respond(std::int32_t stream, std::uint16_t status, const lane::Headers& headers, bool body);
  bool interim(std::int32_t stream, std::uint16_t status);
  // Client. nullopt: no more streams on this connection. `secret`: the name of the field that no table may keep.
  struct Pseudo {
    std::string_view method, scheme, authority, path;
  };
  std::optional<std::int32_t> request(const Pseudo& pseudo, const lane::Headers& headers, std::string_view secret,
                                      bool body);
  bool may_request() const;
  std::uint32_t peer_streams() const;  // how many the peer allows at once

  void resume(std::int32_t stream);
  void consumed(std::int32_t stream, std::size_t bytes);
  void reset(std::int32_t stream, H2Code code);
  void end(H2Code code);  // GOAWAY, then nothing

 private:
  struct Callbacks;
  friend struct Callbacks;
  struct Building {
    H2Block block;
    std::size_t size = 0;
  };

  H2Handler& handler_;
  const Options options_;
  FrameGate gate_;
  std::map<std::int32_t, Building> building_;
  nghttp2_session* session_ = nullptr;
  std::optional<H2Violation> violated_;
  std::size_t faults_ = 0;  // since the last receive()
  std::string fault_;       // the last, in the library's words
  bool leaving_ = false;    // one side has said GOAWAY
};

}  // namespace bulkhead::http
