// The bytes of an HTTP/2 client, as front's session takes them: whatever they are, the session neither keeps more than
// its limits, nor yields a head that HTTP/1's gate would not have yielded, nor goes on after a violation. Cut into
// other portions the same bytes give the same requests.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/http/h2_rules.h"
#include "gateway/http/h2_session.h"

namespace {
using namespace bulkhead;

// A server that judges each head by the rules and answers it at once, some with a body, some before the request's end.
struct Server final : http::H2Handler {
  http::H2Session session{http::H2Session::Role::server, *this, {}};
  std::map<std::int32_t, std::size_t> left;  // of the answer
  std::size_t held = 0, blocks = 0;
  lane::Headers trailers{{"grpc-status", "0"}};

  void on_block(std::int32_t id, http::H2Block block, bool ended) override {
    expect(block.fields.size() <= http::Limits().headers + 5);
    ++blocks;
    if (left.contains(id)) return;
    left[id] = 0;
    auto head = http::h2_request_head(std::move(block.fields), ended, "https");
    if (head) {
      // What passed can be written in HTTP/1 and is read there as the same.
      lane::Headers others;
      for (const auto& header : head->headers) {
        if (header.first != "host" && header.first != "content-length" && header.first != "expect" &&
            header.first != "te" && header.first != "trailer") {
          others.push_back(header);
        }
      }
      const std::string written =
          http::serialise_request(head->method, head->host, head->target, others, head->body, head->body_length);
      http::RequestReader reader({.head = 512 * 1024, .headers = 200, .target = 64 * 1024});
      std::string body;
      const auto taken = reader.feed(written, body);
      expect(taken && reader.state() != http::State::head);
      expect(reader.head().method == head->method && reader.head().target == head->target &&
             reader.head().host == head->host);
    }
    left[id] = head ? head->target.size() * 100 : 0;
    (void)session.respond(id, head ? 200 : 400, {{"a", "b"}}, left[id] != 0);
  }
  void on_data(std::int32_t id, std::string_view bytes) override {
    held += bytes.size();
    expect(held <= http::H2Limits().connection_window);
    if (bytes.size() % 3 != 0) {
      session.consumed(id, bytes.size());
      held -= bytes.size();
    }
  }
  void on_end(std::int32_t) override {}
  void on_closed(std::int32_t, std::uint32_t) override {}
  void on_malformed(std::int32_t, std::string) override {}
  http::H2Supply on_read(std::int32_t id, std::span<char> into) override {
    const std::size_t n = std::min(into.size(), left[id]);
    std::fill_n(into.begin(), n, 'x');
    left[id] -= n;
    return {n, false, left[id] == 0, id % 4 == 1 ? &trailers : nullptr};
  }
  void on_sent_end(std::int32_t) override {}
  void on_goaway(std::int32_t) override {}
};

void run(std::string_view bytes, std::size_t step) {
  const auto now = http::H2Session::Clock::time_point() + std::chrono::seconds(1);
  Server server;
  bool over = false;
  while (!bytes.empty() && !over) {
    const std::string_view part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    over = !server.session.receive(part, now);
    std::string out;
    server.session.send(out, 64 * 1024);
    over = over || server.session.violated().has_value();
    if (over) {
      const std::size_t blocks = server.blocks;
      expect(!server.session.receive("more", now) && server.blocks == blocks);
    }
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first byte says whether the preface and SETTINGS are there already: most inputs should get past them.
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if ((data[0] & 1) != 0) {
    bytes.insert(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9));
  }
  run(bytes, bytes.size());
  run(bytes, 1 + data[0] / 2);
  return 0;
}
