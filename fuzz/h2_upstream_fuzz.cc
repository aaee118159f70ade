// The bytes of an HTTP/2 server, as egress's session takes them: a request is open, and whatever comes, an answer keeps
// to the rules, bodies stay within the windows, and nothing goes on after a violation.
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

struct Client final : http::H2Handler {
  http::H2Session session{http::H2Session::Role::client, *this, {.limits = {}, .head = {}, .wipe = true}};
  struct Stream {
    bool head = false, ended = false, closed = false;
    std::size_t to_send = 5000;
  };
  std::map<std::int32_t, Stream> streams;
  std::size_t held = 0;
  bool hold = false;

  void open(const char* method, bool body) {
    const auto id =
        session.request({method, "https", "api.example.com", "/x"}, {{"x-api-key", "secret"}}, "x-api-key", body);
    if (id) streams[*id];
  }
  void on_block(std::int32_t id, http::H2Block block, bool ended) override {
    expect(streams.contains(id));  // nothing is pushed
    Stream& stream = streams[id];
    expect(!stream.ended && !stream.closed);
    expect(block.fields.size() <= http::Limits().headers + 5);
    if (!stream.head) {
      const auto head = http::h2_response_head(block.fields, ended, id == 3);
      if (head) {
        expect(head->status >= 100 && head->status <= 599 && head->status != 101);
        for (const auto& [name, value] : head->headers)
          expect(!name.empty() && name[0] != ':' && value.find('\n') == std::string::npos);
        stream.head = head->status >= 200;
        // An HTTP/1 client gets it as bytes: the serialiser aborts on what should never reach it.
        if (stream.head) {
          const bool bodiless = head->status == 204 || head->status == 304;
          (void)http::serialise_response(head->status, head->headers, bodiless ? lane::BodyKind::none : head->body,
                                         head->body_length, true);
        }
      }
    } else {
      (void)http::h2_trailers(block.fields, ended);
    }
    stream.ended = ended;
  }
  void on_data(std::int32_t id, std::string_view bytes) override {
    expect(streams.contains(id));
    held += bytes.size();
    expect(held <= http::H2Limits().connection_window);
    if (hold) return;
    session.consumed(id, bytes.size());
    held -= bytes.size();
  }
  void on_end(std::int32_t id) override { streams[id].ended = true; }
  void on_closed(std::int32_t id, std::uint32_t) override { streams[id].closed = true; }
  void on_malformed(std::int32_t, std::string) override {}
  http::H2Supply on_read(std::int32_t id, std::span<char> into) override {
    Stream& stream = streams[id];
    const std::size_t n = std::min(into.size(), stream.to_send);
    std::fill_n(into.begin(), n, 'u');
    stream.to_send -= n;
    return {n, false, stream.to_send == 0, nullptr};
  }
  void on_sent_end(std::int32_t) override {}
  void on_goaway(std::int32_t) override {}
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto now = http::H2Session::Clock::time_point() + std::chrono::seconds(1);
  Client client;
  client.hold = (data[0] & 1) != 0;
  client.open("GET", false);
  client.open("HEAD", false);
  client.open("POST", true);
  std::string out;
  client.session.send(out, 64 * 1024);
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string whole;
  if ((data[0] & 2) != 0) {
    whole = std::string("\0\0\0\4\0\0\0\0\0", 9) + std::string(bytes);
    bytes = whole;
  }
  const std::size_t step = 1 + data[0] / 4;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, step * 4);
    bytes.remove_prefix(part.size());
    const bool good = client.session.receive(part, now).has_value();
    out.clear();
    client.session.send(out, 64 * 1024);
    if (good && !client.session.violated()) continue;
    expect(!client.session.receive("more", now));
    break;
  }
  return 0;
}
