// The strict gate: what it refuses, no parser behind it ever sees. Refuses only, repairs nothing. Pure functions
// over bytes; the one state kept is how far a head or a chunk line has come, so that one byte at a time and all
// at once give the same answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/http/http.h"

namespace bulkhead::http {

using Gated = tl::expected<void, Refusal>;

tl::unexpected<Refusal> refuse(std::uint16_t status, std::string reason, std::string text);

enum class Side { request, response };

// Finds the end of a head, byte by byte, and refuses on the way what no head may contain: control bytes, line
// endings other than CRLF, folded lines, an empty first line, more than the limits allow. 8-bit bytes are refused
// in requests and left to parse_response_head in responses.
class HeadScanner {
 public:
  HeadScanner(Side side, const Limits& limits) : side_(side), limits_(limits) {}
  // Takes bytes up to the end of the head; how many it took.
  tl::expected<std::size_t, Refusal> take(std::string_view bytes);
  bool complete() const { return complete_; }
  bool started() const { return size_ != 0; }

 private:
  Gated step(unsigned char c);

  Side side_;
  Limits limits_;
  std::size_t size_ = 0;   // of the head so far
  std::size_t line_ = 0;   // bytes in the present line
  std::size_t lines_ = 0;  // complete lines
  bool after_cr_ = false;
  bool complete_ = false;
};

struct Field {
  std::string_view name;   // as received
  std::string_view value;  // without surrounding blanks
};

// What the gate saw. Views point into the raw head.
struct RawRequest {
  std::string_view method, target;
  std::vector<Field> fields;
};
struct RawResponse {
  int minor = 1;  // HTTP/1.minor
  std::uint16_t status = 0;
  std::vector<Field> fields;
};

// `raw`: a whole head as HeadScanner passed it, with its empty line.
tl::expected<RawRequest, Refusal> parse_request_head(std::string_view raw, const Limits& limits);
// The head of a CONNECT on the proxy port, of HTTP/1.1 or 1.0 (which Python's client speaks there): no body, no
// credential for a proxy, and a Host header, if any, that is the target.
tl::expected<RawRequest, Refusal> parse_connect_head(std::string_view raw, const Limits& limits);
tl::expected<RawResponse, Refusal> parse_response_head(std::string_view raw, const Limits& limits);

// Parts of the above that HTTP/2 shares (h2_rules.h). is_token: RFC 9110 §5.6.2.
Gated check_method(std::string_view method);
bool is_token(std::string_view text);
// Fields without those whose bytes not every reader takes for text (responses only); names in lower case.
lane::Headers headers_of(const std::vector<Field>& fields);

// The rules that span fields: Host, framing, Expect, Upgrade. The result's `headers` are set by the caller.
tl::expected<RequestHead, Refusal> judge_request_fields(const RawRequest& raw);
tl::expected<ResponseHead, Refusal> judge_response_fields(const RawResponse& raw, bool head_request,
                                                          bool may_switch = false);

// Chunked framing ahead of the parser. Feed it every byte that is not chunk data; it says when a chunk-size line
// (with the CRLF of the chunk before) or the whole last chunk is in. Requests: hex digits and CRLF, nothing else.
// Responses may have chunk extensions and trailers, within bounds.
class ChunkScanner {
 public:
  enum class Step { more, data, done };

  ChunkScanner(Side side, const Limits& limits) : side_(side), limit_(limits.chunk_line) {}
  tl::expected<Step, Refusal> step(unsigned char c);
  std::uint64_t size() const { return size_; }  // of the chunk whose data comes next

 private:
  enum class State {
    first_digit,
    digits,
    extension,
    size_lf,
    data_cr,
    data_lf,
    trailer,
    trailer_line,
    trailer_lf,
    last_lf,
    done
  };
  static constexpr std::size_t max_trailers = 8 * 1024;

  Side side_;
  std::size_t limit_;
  State state_ = State::first_digit;
  std::uint64_t size_ = 0;
  std::size_t digits_ = 0;
  std::size_t length_ = 0;    // of the present chunk-size line
  std::size_t trailers_ = 0;  // bytes of trailers
};

}  // namespace bulkhead::http
