// Requests and answers: read whole and byte by byte they give the same, and an accepted request written again from what
// was understood is accepted again as the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/http/http.h"

namespace {
template <class Reader>
struct Outcome {
  bool refused = false;
  std::string reason, body;
  bulkhead::http::State state = bulkhead::http::State::head;
};

template <class Reader>
Outcome<Reader> read(Reader& reader, std::string_view bytes, std::size_t step) {
  Outcome<Reader> out;
  while (!bytes.empty() && reader.state() != bulkhead::http::State::done) {
    const auto taken = reader.feed(bytes.substr(0, step), out.body);
    if (!taken) {
      out.refused = true;
      out.reason = taken.error().reason;
      break;
    }
    expect(*taken > 0);
    bytes.remove_prefix(*taken);
  }
  out.state = reader.state();
  return out;
}

template <class Reader>
bool same(const Outcome<Reader>& a, const Outcome<Reader>& b) {
  return a.refused == b.refused && a.reason == b.reason && a.body == b.body && a.state == b.state;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  http::RequestReader whole, cut;
  const auto one = read(whole, text, text.size() + 1);
  const auto two = read(cut, text, 1);
  expect(same(one, two));
  if (!one.refused && one.state != http::State::head) {
    const http::RequestHead& head = whole.head();
    expect(head.method == cut.head().method && head.target == cut.head().target && head.headers == cut.head().headers);
    lane::Headers others;
    for (const auto& header : head.headers) {
      if (header.first != "host" && header.first != "content-length" && header.first != "transfer-encoding" &&
          header.first != "connection" && header.first != "expect" && header.first != "upgrade" &&
          header.first != "http2-settings") {
        others.push_back(header);
      }
    }
    const std::string written =
        http::serialise_request(head.method, head.host, head.target, others, head.body, head.body_length);
    http::Limits roomier;
    roomier.headers += 1;  // we may have written a Content-Length: 0 that was not there
    http::RequestReader again(roomier);
    const auto three = read(again, written, written.size());
    expect(!three.refused && three.state != http::State::head);
    expect(again.head().method == head.method && again.head().target == head.target && again.head().host == head.host &&
           again.head().body == head.body && again.head().body_length == head.body_length);
  }
  http::ResponseReader answer("GET"), answer_cut("GET");
  expect(same(read(answer, text, text.size() + 1), read(answer_cut, text, 1)));
  return 0;
}
