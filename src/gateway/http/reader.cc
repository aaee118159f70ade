// RequestReader and ResponseReader: gate, then Beast, then the comparison. The only file that includes Beast.
//
// The gate decides where the head and each chunk line end, so Beast is always given whole elements: a head, a
// chunk line with the CRLF before it, a run of body bytes. Whatever it then does differently from what the gate
// expects (fields, sizes, how much it took, whether it is finished) ends the connection.
#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "gateway/http/gate.h"

namespace bulkhead::http {
namespace {

namespace beast = boost::beast;

std::string_view view_of(beast::string_view view) {
  return {view.data(), view.size()};
}

// Beast's callbacks, recorded.
template <bool is_request>
class Parser final : public beast::http::basic_parser<is_request> {
 public:
  std::string method, target;
  int version = 0, status = 0;
  // The gate's fields, which Beast's have to be, one after the other; while the head is parsed.
  const std::vector<Field>* expected = nullptr;
  std::size_t fields = 0;
  bool differs = false;
  std::uint64_t chunk_size = 0;
  std::string* body = nullptr;

 private:
  using Code = beast::error_code;
  using View = beast::string_view;

  void on_request_impl(beast::http::verb, View name, View path, int number, Code&) override {
    method = view_of(name);
    target = view_of(path);
    version = number;
  }
  void on_response_impl(int code, View, int number, Code&) override {
    status = code;
    version = number;
  }
  void on_field_impl(beast::http::field, View name, View value, Code&) override {
    // Trailers come here too, once the head is done: dropped.
    if (expected == nullptr) return;
    if (fields < expected->size()) {
      const Field& field = (*expected)[fields];
      differs = differs || field.name != view_of(name) || field.value != view_of(value);
    }
    ++fields;
  }
  void on_header_impl(Code&) override { expected = nullptr; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View bytes, Code&) override {
    body->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t size, View, Code&) override { chunk_size = size; }
  std::size_t on_chunk_body_impl(std::uint64_t, View bytes, Code&) override {
    body->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(Code&) override {}
};

// The readers share everything but what a head means.
template <bool is_request>
class Reader {
 public:
  explicit Reader(const Limits& limits) : limits_(limits), scanner_(side, limits), chunks_(side, limits) {}

  static constexpr Side side = is_request ? Side::request : Side::response;

  // Adds bytes to the head; how many were taken.
  tl::expected<std::size_t, Refusal> take_head(std::string_view bytes) {
    auto taken = scanner_.take(bytes);
    if (taken) raw_.append(bytes.substr(0, *taken));
    return taken;
  }

  // Beast's reading of the complete head must be the gate's.
  Gated parse_head(const std::vector<Field>& fields, bool skip_body) {
    parser_.emplace();
    parser_->expected = &fields;
    parser_->header_limit(static_cast<std::uint32_t>(limits_.head + 1));
    parser_->body_limit(boost::none);
    parser_->eager(false);
    parser_->skip(skip_body);
    beast::error_code error;
    const std::size_t used = parser_->put(boost::asio::const_buffer(raw_.data(), raw_.size()), error);
    parser_->expected = nullptr;
    if (error) return disagree(error.message());
    if (used != raw_.size() || !parser_->is_header_done()) return disagree("where the head ends");
    if (parser_->fields != fields.size()) return disagree("the number of fields");
    if (parser_->differs) return disagree("a field's value");
    return {};
  }

  // Body framing as the gate understood it, checked against Beast's.
  Gated expect_body(lane::BodyKind kind, std::uint64_t length, bool until_close) {
    kind_ = kind;
    remaining_ = length;
    until_close_ = until_close;
    const bool chunked = kind == lane::BodyKind::streamed && !until_close;
    if (parser_->is_done() != (kind == lane::BodyKind::none)) return disagree("whether there is a body");
    if (kind == lane::BodyKind::none) return {};
    if (parser_->chunked() != chunked || parser_->need_eof() != until_close) return disagree("the body's framing");
    const auto declared = parser_->content_length();
    if (kind == lane::BodyKind::length ? (!declared || *declared != length) : declared.has_value()) {
      return disagree("the body's length");
    }
    return {};
  }

  tl::expected<std::size_t, Refusal> take_body(std::string_view bytes, std::string& body) {
    if (kind_ == lane::BodyKind::length) {
      const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
      if (auto ok = put(bytes.substr(0, count), body); !ok) return tl::unexpected(std::move(ok).error());
      remaining_ -= count;
      if (parser_->is_done() != (remaining_ == 0)) return tl::unexpected(disagree("where the body ends").value());
      done_ = remaining_ == 0;
      return count;
    }
    if (until_close_) {
      if (auto ok = put(bytes, body); !ok) return tl::unexpected(std::move(ok).error());
      return bytes.size();
    }
    return take_chunks(bytes, body);
  }

  bool body_done() const { return done_; }
  Gated put_eof() {
    beast::error_code error;
    parser_->put_eof(error);
    if (error) return disagree(error.message());
    done_ = true;
    return {};
  }

  HeadScanner& scanner() { return scanner_; }
  const Limits& limits() const { return limits_; }
  const std::string& raw() const { return raw_; }
  Parser<is_request>& parser() { return *parser_; }
  void next_head() {
    raw_.clear();
    scanner_ = HeadScanner(side, limits_);
  }

  static tl::unexpected<Refusal> disagree(const std::string& about) {
    return refuse(is_request ? 400 : 502, "disagreement", "two readings of this message differ: " + about);
  }

 private:
  // Everything given must be taken, or the two readings differ.
  Gated put(std::string_view bytes, std::string& body) {
    parser_->body = &body;
    while (!bytes.empty()) {
      beast::error_code error;
      const std::size_t used = parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
      if (error) return disagree(error.message());
      if (used == 0 || used > bytes.size() || (parser_->is_done() && used != bytes.size())) {
        return disagree("how much of it is the body");
      }
      bytes.remove_prefix(used);
    }
    return {};
  }

  tl::expected<std::size_t, Refusal> take_chunks(std::string_view bytes, std::string& body) {
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      if (remaining_ > 0) {
        const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size() - taken));
        if (auto ok = put(bytes.substr(taken, count), body); !ok) return tl::unexpected(std::move(ok).error());
        taken += count;
        remaining_ -= count;
        continue;
      }
      const char c = bytes[taken++];
      const auto step = chunks_.step(static_cast<unsigned char>(c));
      if (!step) return tl::unexpected(step.error());
      line_.push_back(c);
      if (*step == ChunkScanner::Step::more) continue;
      if (auto ok = put(line_, body); !ok) return tl::unexpected(std::move(ok).error());
      line_.clear();
      const bool last = *step == ChunkScanner::Step::done;
      if (parser_->chunk_size != chunks_.size() || parser_->is_done() != last) {
        return tl::unexpected(disagree("a chunk's size").value());
      }
      if (last) {
        done_ = true;
        return taken;
      }
      remaining_ = chunks_.size();
    }
    return taken;
  }

  Limits limits_;
  HeadScanner scanner_;
  ChunkScanner chunks_;
  std::string raw_;   // the head
  std::string line_;  // framing bytes of a chunked body that Beast has not seen yet
  std::optional<Parser<is_request>> parser_;
  lane::BodyKind kind_ = lane::BodyKind::none;
  std::uint64_t remaining_ = 0;  // of the body, or of the chunk
  bool until_close_ = false;
  bool done_ = false;
};

}  // namespace

struct RequestReader::Impl {
  explicit Impl(const Limits& limits) : reader(limits) {}

  Reader<true> reader;
  State state = State::head;
  RequestHead head;
  std::optional<Refusal> dead;

  Gated finish_head() {
    auto raw = parse_request_head(reader.raw(), reader.limits());
    if (!raw) return tl::unexpected(std::move(raw).error());
    auto judged = judge_request_fields(*raw);
    if (!judged) return tl::unexpected(std::move(judged).error());
    if (auto ok = reader.parse_head(raw->fields, false); !ok) return ok;
    auto& parser = reader.parser();
    if (parser.method != raw->method || parser.target != raw->target || parser.version != 11) {
      return reader.disagree("the request line");
    }
    if (auto ok = reader.expect_body(judged->body, judged->body_length, false); !ok) return ok;
    if (parser.keep_alive() != judged->keep_alive) return reader.disagree("whether the connection stays");
    head = std::move(*judged);
    head.headers = headers_of(raw->fields);
    state = head.body == lane::BodyKind::none ? State::done : State::body;
    return {};
  }

  tl::expected<std::size_t, Refusal> feed(std::string_view bytes, std::string& body) {
    if (state == State::done) return std::size_t{0};
    if (state == State::body) {
      auto taken = reader.take_body(bytes, body);
      if (taken && reader.body_done()) state = State::done;
      return taken;
    }
    auto taken = reader.take_head(bytes);
    if (!taken || !reader.scanner().complete()) return taken;
    if (auto ok = finish_head(); !ok) return tl::unexpected(std::move(ok).error());
    return taken;
  }
};

RequestReader::RequestReader(Limits limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

tl::expected<std::size_t, Refusal> RequestReader::feed(std::string_view bytes, std::string& body) {
  if (impl_->dead) return tl::unexpected(*impl_->dead);
  auto taken = impl_->feed(bytes, body);
  if (!taken) impl_->dead = taken.error();
  return taken;
}
State RequestReader::state() const {
  return impl_->state;
}
const RequestHead& RequestReader::head() const {
  return impl_->head;
}

struct ConnectReader::Impl {
  explicit Impl(const Limits& limits) : reader(limits) {}

  Reader<true> reader;
  bool done = false;
  std::string target;

  Gated finish_head() {
    auto raw = parse_connect_head(reader.raw(), reader.limits());
    if (!raw) return tl::unexpected(std::move(raw).error());
    if (auto ok = reader.parse_head(raw->fields, true); !ok) return ok;
    if (reader.parser().method != raw->method || reader.parser().target != raw->target) {
      return reader.disagree("the request line");
    }
    target = raw->target;
    done = true;
    return {};
  }
};

ConnectReader::ConnectReader(Limits limits) : impl_(std::make_unique<Impl>(limits)) {}
ConnectReader::~ConnectReader() = default;

tl::expected<std::size_t, Refusal> ConnectReader::feed(std::string_view bytes) {
  if (impl_->done) return std::size_t{0};
  auto taken = impl_->reader.take_head(bytes);
  if (!taken || !impl_->reader.scanner().complete()) return taken;
  if (auto ok = impl_->finish_head(); !ok) return tl::unexpected(std::move(ok).error());
  return taken;
}
bool ConnectReader::done() const {
  return impl_->done;
}
const std::string& ConnectReader::target() const {
  return impl_->target;
}

struct ResponseReader::Impl {
  Impl(std::string_view method, const Limits& limits, bool switches)
      : reader(limits), head_request(method == "HEAD"), may_switch(switches) {}

  static constexpr int max_interim = 8;

  Reader<false> reader;
  bool head_request, may_switch;
  State state = State::head;
  ResponseHead head;
  int interim = 0;
  std::optional<Refusal> dead;

  Gated finish_head() {
    auto raw = parse_response_head(reader.raw(), reader.limits());
    if (!raw) return tl::unexpected(std::move(raw).error());
    auto judged = judge_response_fields(*raw, head_request, may_switch);
    if (!judged) return tl::unexpected(std::move(judged).error());
    if (auto ok = reader.parse_head(raw->fields, head_request); !ok) return ok;
    if (reader.parser().status != raw->status || reader.parser().version != 10 + raw->minor) {
      return reader.disagree("the status line");
    }
    if (raw->status < 200 && raw->status != 101) {
      if (++interim > max_interim) return refuse(502, "interim", "the server sent interim answers without end");
      reader.next_head();
      return {};
    }
    if (auto ok = reader.expect_body(judged->body, judged->body_length, judged->until_close); !ok) return ok;
    head = std::move(*judged);
    head.headers = headers_of(raw->fields);
    state = head.body == lane::BodyKind::none ? State::done : State::body;
    return {};
  }

  tl::expected<std::size_t, Refusal> feed(std::string_view bytes, std::string& body) {
    if (state == State::done) return std::size_t{0};
    if (state == State::body) {
      auto taken = reader.take_body(bytes, body);
      if (taken && reader.body_done()) state = State::done;
      return taken;
    }
    std::size_t total = 0;
    while (total < bytes.size() && state == State::head) {
      auto taken = reader.take_head(bytes.substr(total));
      if (!taken) return taken;
      total += *taken;
      if (!reader.scanner().complete()) break;
      if (auto ok = finish_head(); !ok) return tl::unexpected(std::move(ok).error());
    }
    return total;
  }

  Gated finish() {
    if (state == State::done) return {};
    if (state == State::head && !reader.scanner().started() && interim == 0) return {};
    if (state == State::body && head.until_close) {
      if (auto ok = reader.put_eof(); !ok) return ok;
      state = State::done;
      return {};
    }
    return refuse(502, "truncated", "the server closed the connection in the middle of its answer");
  }
};

ResponseReader::ResponseReader(std::string_view method, Limits limits, bool may_switch)
    : impl_(std::make_unique<Impl>(method, limits, may_switch)) {}
ResponseReader::~ResponseReader() = default;
ResponseReader::ResponseReader(ResponseReader&&) noexcept = default;
ResponseReader& ResponseReader::operator=(ResponseReader&&) noexcept = default;

tl::expected<std::size_t, Refusal> ResponseReader::feed(std::string_view bytes, std::string& body) {
  if (impl_->dead) return tl::unexpected(*impl_->dead);
  auto taken = impl_->feed(bytes, body);
  if (!taken) {
    // Whatever the gate's reason, towards the client a broken answer is a bad gateway.
    taken.error().status = 502;
    impl_->dead = taken.error();
  }
  return taken;
}
tl::expected<void, Refusal> ResponseReader::finish() {
  if (impl_->dead) return tl::unexpected(*impl_->dead);
  auto ended = impl_->finish();
  if (!ended) impl_->dead = ended.error();
  return ended;
}
State ResponseReader::state() const {
  return impl_->state;
}
const ResponseHead& ResponseReader::head() const {
  return impl_->head;
}

}  // namespace bulkhead::http
