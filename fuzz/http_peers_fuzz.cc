// What is accepted means the same to a parser that is not ours: the same head, the same body, the same end. For
// requests as they come and as they are written anew; for answers as they come.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/peers/expect.h"
#include "fuzz/peers/http_peer.h"
#include "gateway/http/http.h"

namespace {
using namespace bulkhead;

struct Read {
  std::size_t taken = 0;
  std::string body;
  bool refused = false;
};

template <class Reader>
Read read(Reader& reader, std::string_view bytes) {
  Read out;
  while (out.taken < bytes.size() && reader.state() != http::State::done && !out.refused) {
    const auto taken = reader.feed(bytes.substr(out.taken), out.body);
    out.refused = !taken;
    if (taken) out.taken += *taken;
    if (taken && *taken == 0) break;
  }
  return out;
}

void request(std::string_view text) {
  http::RequestReader reader;
  const Read ours = read(reader, text);
  if (ours.refused || reader.state() != http::State::done) return;
  const http::RequestHead& head = reader.head();
  // It refuses methods it has never heard of, and a few more things that we take.
  if (const auto theirs = peers::read_request(text)) {
    expect(theirs->whole && theirs->method == head.method && theirs->target == head.target);
    expect(theirs->body == ours.body && theirs->taken == ours.taken);
    expect(theirs->headers == head.headers);
  }
  std::string written = http::serialise_request(head.method, head.host, head.target, {}, head.body, head.body_length);
  if (head.body == lane::BodyKind::streamed) {
    if (!ours.body.empty()) written += http::chunk(ours.body);
    written += http::last_chunk();
  } else {
    written += ours.body;
  }
  if (const auto theirs = peers::read_request(written)) {
    expect(theirs->whole && theirs->taken == written.size() && theirs->method == head.method);
    expect(theirs->target == head.target && theirs->body == ours.body);
    const auto hosts =
        std::ranges::count(theirs->headers, std::string("host"), &std::pair<std::string, std::string>::first);
    expect(hosts == 1);
  }
}

void response(std::string_view text) {
  http::ResponseReader reader("GET");
  const Read ours = read(reader, text);
  if (ours.refused) return;
  bool done = reader.state() == http::State::done;
  const bool closed = !done;
  if (closed) {
    if (!reader.finish()) return;
    done = reader.state() == http::State::done;
  }
  if (!done || text.empty()) return;
  // Interim heads are read over by us; the peer takes them for answers.
  std::string_view rest = text;
  std::size_t before = 0;
  for (;;) {
    const auto theirs = peers::read_response(rest, closed);
    if (!theirs) return;
    // It takes a longer name that begins so for Transfer-Encoding itself.
    const auto longer = [](const auto& header) {
      return header.first.starts_with("transfer-encoding") && header.first != "transfer-encoding";
    };
    if (std::ranges::any_of(theirs->headers, longer)) return;
    if (theirs->status >= 100 && theirs->status < 200) {
      expect(theirs->whole);
      before += theirs->taken;
      rest.remove_prefix(theirs->taken);
      continue;
    }
    expect(theirs->status == reader.head().status);
    // It reads a body behind a 204 or 304 that announces one, where RFC 9110 §15.3.5 knows none.
    if (theirs->status == 204 || theirs->status == 304) return;
    expect(theirs->whole && theirs->body == ours.body);
    expect(closed || before + theirs->taken == ours.taken);
    return;
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  request(text);
  response(text);
  return 0;
}
