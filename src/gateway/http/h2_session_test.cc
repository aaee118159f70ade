// Both sides of a connection in memory, and a client that makes frames by hand (ATTACKS F04).
#include "gateway/http/h2_session.h"

#include <gtest/gtest.h>

#include <functional>

namespace bulkhead::http {
namespace {

using Clock = H2Session::Clock;
const Clock::time_point start = Clock::now();

struct Seen final : H2Handler {
  struct Stream {
    std::vector<H2Block> blocks;
    std::string data;
    bool ended = false, closed = false, sent_end = false;
    std::uint32_t code = 0;
    std::string out;
    lane::Headers trailers;
    bool out_ended = true;
  };
  std::map<std::int32_t, Stream> streams;
  std::vector<std::string> malformed;
  std::int32_t goaway = -1;
  H2Session* session = nullptr;
  bool take = true;  // bodies are taken at once

  void on_block(std::int32_t id, H2Block block, bool ended) override {
    streams[id].blocks.push_back(std::move(block));
    streams[id].ended |= ended;
  }
  void on_data(std::int32_t id, std::string_view bytes) override {
    streams[id].data += bytes;
    if (take) session->consumed(id, bytes.size());
  }
  void on_end(std::int32_t id) override { streams[id].ended = true; }
  void on_closed(std::int32_t id, std::uint32_t code) override {
    streams[id].closed = true;
    streams[id].code = code;
  }
  void on_malformed(std::int32_t, std::string why) override { malformed.push_back(std::move(why)); }
  H2Supply on_read(std::int32_t id, std::span<char> into) override {
    Stream& stream = streams[id];
    const std::size_t n = stream.out.copy(into.data(), into.size());
    stream.out.erase(0, n);
    const bool last = stream.out.empty();
    return {n, last && !stream.out_ended, last && stream.out_ended, &stream.trailers};
  }
  void on_sent_end(std::int32_t id) override { streams[id].sent_end = true; }
  void on_goaway(std::int32_t last) override { goaway = last; }
};

struct Pair {
  Seen at_server, at_client;
  H2Session server{H2Session::Role::server, at_server, {}}, client{H2Session::Role::client, at_client, {}};
  Pair() {
    at_server.session = &server;
    at_client.session = &client;
    run();
  }
  void run() {
    for (int i = 0; i < 10000; ++i) {
      std::string up, down;
      client.send(up, 16 * 1024);
      if (!up.empty()) EXPECT_TRUE(server.receive(up, start));
      server.send(down, 16 * 1024);
      if (!down.empty()) EXPECT_TRUE(client.receive(down, start));
      if (up.empty() && down.empty()) return;
    }
    FAIL() << "they never stop";
  }
};

const H2Session::Pseudo pseudo{"POST", "https", "api.example.com", "/echo"};

TEST(H2Session, ARequestItsAnswerAndTrailers) {
  Pair pair;
  const auto id = pair.client.request(pseudo, {{"x-api-key", "secret"}, {"a", "b"}}, "x-api-key", true);
  ASSERT_TRUE(id);
  pair.at_client.streams[*id].out = std::string(1 << 20, 'u');
  pair.run();
  const auto& request = pair.at_server.streams[*id];
  ASSERT_EQ(request.blocks.size(), 1U);
  EXPECT_EQ(request.blocks[0].fields.size(), 6U);
  EXPECT_EQ(request.data.size(), 1U << 20);  // past every window
  EXPECT_TRUE(request.ended);
  pair.at_server.streams[*id].out = std::string(3 << 20, 'd');
  pair.at_server.streams[*id].trailers = {{"grpc-status", "0"}};
  ASSERT_TRUE(pair.server.respond(*id, 200, {{"c", "d"}}, true));
  pair.run();
  const auto& answer = pair.at_client.streams[*id];
  ASSERT_EQ(answer.blocks.size(), 2U);
  EXPECT_EQ(answer.blocks[0].fields, (lane::Headers{{":status", "200"}, {"c", "d"}}));
  EXPECT_EQ(answer.blocks[1].fields, (lane::Headers{{"grpc-status", "0"}}));
  EXPECT_EQ(answer.data.size(), 3U << 20);
  EXPECT_TRUE(answer.ended && answer.closed && pair.at_server.streams[*id].sent_end);
}

TEST(H2Session, WhatNobodyTakesIsNotSent) {
  Pair pair;
  pair.at_server.take = false;
  const auto id = pair.client.request(pseudo, {}, "", true);
  pair.at_client.streams[*id].out = std::string(1 << 20, 'u');
  pair.run();
  EXPECT_EQ(pair.at_server.streams[*id].data.size(), H2Limits().stream_window);
  pair.server.consumed(*id, pair.at_server.streams[*id].data.size());
  pair.run();
  EXPECT_EQ(pair.at_server.streams[*id].data.size(), 2 * H2Limits().stream_window);
}

TEST(H2Session, AnInterimAnswerAndAReset) {
  Pair pair;
  const auto id = pair.client.request(pseudo, {}, "", true);
  pair.at_client.streams[*id].out_ended = false;
  pair.run();
  EXPECT_TRUE(pair.server.interim(*id, 100));
  pair.run();
  EXPECT_EQ(pair.at_client.streams[*id].blocks[0].fields, (lane::Headers{{":status", "100"}}));
  pair.client.reset(*id, H2Code::cancel);
  pair.run();
  EXPECT_TRUE(pair.at_server.streams[*id].closed);
  EXPECT_EQ(pair.at_server.streams[*id].code, 8U);
}

TEST(H2Session, ALargeHeadIsNotKept) {
  Pair pair;
  const auto id = pair.client.request(pseudo, lane::Headers(150, {"a", "b"}), "", false);
  pair.run();
  ASSERT_EQ(pair.at_server.streams[*id].blocks.size(), 1U);
  EXPECT_TRUE(pair.at_server.streams[*id].blocks[0].too_large);
  EXPECT_TRUE(pair.at_server.streams[*id].blocks[0].fields.empty());
}

// ---- frames by hand

std::string frame(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>((payload.size() >> shift) & 0xff);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>((stream >> shift) & 0xff);
  return out + std::string(payload);
}
// Literal fields without indexing (RFC 7541 §6.2.2), lengths below 127.
std::string literal(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + std::string(name) + static_cast<char>(value.size()) +
         std::string(value);
}
std::string head(const std::string& more = {}, const std::string& path = "/") {
  return literal(":method", "GET") + literal(":scheme", "https") + literal(":authority", "api.example.com") +
         literal(":path", path) + more;
}
const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");
const std::string ping = frame(6, 0, 0, "12345678");

struct Server {
  Seen seen;
  H2Session session{H2Session::Role::server, seen, {}};
  explicit Server(bool greet = true) {
    seen.session = &session;
    if (greet) EXPECT_TRUE(session.receive(preface, start));
  }
  tl::expected<void, H2Violation> give(std::string_view bytes) {
    auto done = session.receive(bytes, start);
    std::string out;
    session.send(out, 1 << 20);
    sent += out;
    if (done && session.violated()) return tl::unexpected(*session.violated());
    return done;
  }
  // How many of `step(i)` it takes until the connection ends.
  int until_violation(const std::function<std::string(int)>& step, std::string& reason) {
    for (int i = 0; i < 100000; ++i) {
      if (auto done = give(step(i)); !done) {
        reason = done.error().reason;
        return i;
      }
    }
    return -1;
  }
  std::string sent;
};

TEST(H2Session, FloodsEnd) {
  const std::string u31 = {'\0', '\0', '\0', '\1'};
  const struct {
    const char* what;
    int most;
    std::function<std::string(int)> step;
  } floods[] = {
      {"PING", 1100, [](int) { return ping; }},
      {"SETTINGS", 1100, [](int) { return frame(4, 0, 0, ""); }},
      {"PRIORITY", 1100, [](int) { return frame(2, 0, 3, std::string("\0\0\0\0\1", 5)); }},
      {"WINDOW_UPDATE", 1100, [&](int) { return frame(8, 0, 0, u31); }},
      {"unknown", 1100, [](int) { return frame(0xbb, 0, 0, "x"); }},
      {"rapid reset", 250,
       [&](int i) {
         const auto id = static_cast<std::uint32_t>(2 * i + 1);
         return frame(1, 0x5, id, head()) + frame(3, 0, id, std::string("\0\0\0\x8", 4));
       }},
      {"empty DATA", 1100,
       [&](int i) { return (i == 0 ? frame(1, 0x4, 1, head()) : std::string()) + frame(0, 0, 1, ""); }},
      {"CONTINUATION", 12, [&](int i) { return i == 0 ? frame(1, 0, 1, head()) : frame(9, 0, 1, literal("a", "b")); }},
      {"empty CONTINUATION", 12, [&](int i) { return i == 0 ? frame(1, 0, 1, "") : frame(9, 0, 1, ""); }},
      {"malformed", 250,
       [&](int i) { return frame(1, 0x5, static_cast<std::uint32_t>(2 * i + 1), head(literal("BAD", "x"))); }},
      {"GOAWAY", 1100, [&](int) { return frame(7, 0, 0, std::string(8, '\0')); }},
  };
  for (const auto& flood : floods) {
    Server server;
    std::string reason;
    const int taken = server.until_violation(flood.step, reason);
    EXPECT_GE(taken, 1) << flood.what;
    EXPECT_LE(taken, flood.most) << flood.what;
    EXPECT_TRUE(reason == "flood" || reason == "frame") << flood.what << " " << reason;
    EXPECT_TRUE(server.sent.find(std::string("\0\0\x8\x7", 4)) != std::string::npos ||
                server.sent.find(std::string("\x7\0\0\0\0\0", 6)) != std::string::npos)
        << flood.what << ": no GOAWAY";
    EXPECT_FALSE(server.give(ping)) << flood.what << ": it went on";
  }
}

// What useful clients do: a WINDOW_UPDATE or two for every DATA frame of a long answer, and a PING now and then.
TEST(H2Session, WhatIsEarnedIsNoFlood) {
  Server server;
  const std::string open = frame(8, 0, 0, std::string("\0\1\0\0", 4)) + frame(8, 0, 1, std::string("\0\1\0\0", 4));
  ASSERT_TRUE(server.give(frame(1, 0x5, 1, head())));
  server.seen.streams[1].out_ended = false;
  ASSERT_TRUE(server.session.respond(1, 200, {}, true));
  for (int i = 0; i < 20000; ++i) {
    server.seen.streams[1].out = "data: token\n\n";
    server.session.resume(1);
    ASSERT_TRUE(server.give(open + ping)) << i;
  }
}

TEST(H2Session, WhatIsNoHttp2Ends) {
  const std::string big(17 * 1024, 'x');
  const struct {
    const char* what;
    std::string bytes;
    bool greet = true;
  } cases[] = {
      {"HTTP/1", "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n", false},
      {"no preface", frame(4, 0, 0, ""), false},
      {"frame too large", frame(0, 0, 1, big)},
      {"PUSH_PROMISE", frame(5, 0x4, 1, std::string("\0\0\0\2", 4) + head())},
      {"interleaved", frame(1, 0, 1, head()) + ping},
      {"continued elsewhere", frame(1, 0, 1, head()) + frame(9, 4, 3, "")},
      {"CONTINUATION alone", frame(9, 4, 1, head())},
      {"even stream", frame(1, 0x5, 2, head())},
      {"HEADERS on 0", frame(1, 0x5, 0, head())},
      {"DATA on an idle stream", frame(0, 0, 5, "x")},
      {"WINDOW_UPDATE of 0", frame(8, 0, 0, std::string(4, '\0'))},
      {"window overflow", frame(8, 0, 0, "\x7f\xff\xff\xff") + frame(8, 0, 0, "\x7f\xff\xff\xff")},
      {"no HPACK", frame(1, 0x5, 1, "\xff\xff\xff\xff\xff\xff\xff\xff")},
      {"SETTINGS_MAX_FRAME_SIZE", frame(4, 0, 0, std::string("\0\5\0\0\0\0", 6))},
      {"block too large", frame(1, 0, 1, std::string(16384, '\0')) + frame(9, 0, 1, std::string(16384, '\0')) +
                              frame(9, 0, 1, std::string(16384, '\0')) + frame(9, 0, 1, std::string(16384, '\0')) +
                              frame(9, 0, 1, std::string(16384, '\0'))},
  };
  for (const auto& one : cases) {
    Server server(one.greet);
    EXPECT_FALSE(server.give(one.bytes)) << one.what;
    EXPECT_TRUE(server.seen.streams.empty() || server.seen.streams.begin()->second.blocks.empty()) << one.what;
    EXPECT_FALSE(server.give(ping)) << one.what;
  }
}

// The gate alone: what the library would refuse as well ends before it gets there.
TEST(H2Gate, RefusesAheadOfTheLibrary) {
  const auto reason = [](const std::string& bytes) {
    FrameGate gate(true, {});
    EXPECT_TRUE(gate.take(preface, start));
    const auto done = gate.take(bytes, start);
    return done ? std::string() : done.error().reason;
  };
  EXPECT_EQ(reason(frame(1, 4, 1, head()) + ping), "");
  EXPECT_EQ(reason(frame(5, 4, 1, std::string("\0\0\0\2", 4))), "push");
  EXPECT_EQ(reason(frame(0, 0, 1, std::string(17 * 1024, 'x'))), "frame");
  EXPECT_EQ(reason(frame(1, 0, 1, head()) + ping), "frame");
  EXPECT_EQ(reason(frame(9, 4, 1, head())), "frame");
  FrameGate gate(true, {});
  EXPECT_FALSE(gate.take("GET / HTTP/1.1\r\n", start));
}

// The library refuses these by itself; it resets the stream, and the connection stays.
TEST(H2Session, MalformedRequestsAreReset) {
  for (const std::string& more :
       {literal("X-Upper", "a"), literal("connection", "close"), literal(":path", "/x"), literal("a", "x\r\ny"),
        literal("te", "gzip"), literal("transfer-encoding", "chunked"), literal("content-length", "5")}) {
    Server server;
    ASSERT_TRUE(server.give(frame(1, 0x5, 1, head(more))));
    EXPECT_TRUE(server.seen.streams[1].blocks.empty()) << more;
    EXPECT_FALSE(server.seen.malformed.empty()) << more;
    EXPECT_TRUE(server.give(frame(1, 0x5, 3, head())));
    EXPECT_EQ(server.seen.streams[3].blocks.size(), 1U);
  }
}

// A table entry of 4 KB, named once for each byte sent.
TEST(H2Session, AnHpackBombEnds) {
  Server server;
  std::string block = head();
  block += std::string("\x40\x01z\x7f\xa1\x1e", 6) + std::string(4000, 'x');  // literal, indexed; length 127 + 3873
  block += std::string(10000, '\xbe');                                        // the newest entry of the table
  auto done = server.give(frame(1, 0x5, 1, block));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "head-size");
  EXPECT_EQ(done.error().code, 11U);
}

TEST(H2Session, MoreStreamsThanAllowedAreRefused) {
  Server server;
  std::size_t served = 0;
  for (std::uint32_t i = 0; i < 150; ++i) (void)server.give(frame(1, 0x5, 2 * i + 1, head()));
  for (const auto& [id, stream] : server.seen.streams) served += stream.blocks.size();
  EXPECT_EQ(served, H2Limits().streams);
}

// One byte at a time and all at once: the gate and the library see the same.
TEST(H2Session, ByteByByte) {
  Server server(false);
  const std::string bytes =
      preface + frame(1, 0, 1, head()) + frame(9, 4, 1, literal("a", "b")) + frame(0, 1, 1, "xy") + ping;
  for (const char c : bytes) {
    const auto done = server.give(std::string_view(&c, 1));
    ASSERT_TRUE(done) << done.error().text;
  }
  EXPECT_EQ(server.seen.streams[1].data, "xy");
  EXPECT_TRUE(server.seen.streams[1].ended);
}

}  // namespace
}  // namespace bulkhead::http
