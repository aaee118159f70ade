#include "gateway/http/reading_test.h"

namespace bulkhead::http {
namespace {

std::string ok(const std::string& fields, const std::string& body = "") {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body;
}

TEST(Response, LengthChunkedAndNone) {
  auto reading = read_response(ok("Content-Length: 5\r\n", "hello"));
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.head.status, 200);
  EXPECT_EQ(reading.body, "hello");
  EXPECT_TRUE(reading.head.keep_alive);

  reading = read_response(ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"));
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.head.body, lane::BodyKind::streamed);
  EXPECT_FALSE(reading.head.until_close);
  EXPECT_EQ(reading.body, "hello");

  reading = read_response(ok("Content-Length: 0\r\n"));
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.head.body, lane::BodyKind::none);
}

TEST(Response, WhatServersDoAndClientsBear) {
  // Extensions, padded sizes' leading zeros, trailers: none of it is passed on.
  auto reading = read_response(
      ok("Transfer-Encoding: Chunked\r\n", "005;a=b\r\nhello\r\n0\r\nServer-Timing: x\r\nX-Checksum: 1\r\n\r\n"));
  ASSERT_FALSE(reading.refusal) << reading.refusal->text;
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.body, "hello");
  EXPECT_EQ(reading.head.headers.size(), 1u);

  reading = read_response(ok("Content-Length: 0\r\nX-Name: caf\xe9\r\nX-Other: fine\r\n"));
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.head.headers, (lane::Headers{{"content-length", "0"}, {"x-other", "fine"}}));

  reading = read_response("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.head.status, 404);

  reading = read_response("HTTP/1.0 200 Fein \xfc\r\nContent-Length: 2\r\n\r\nhi");
  ASSERT_FALSE(reading.refusal);
  EXPECT_FALSE(reading.head.keep_alive);
  EXPECT_FALSE(read_response(ok("Content-Length: 2\r\nConnection: Close\r\n", "hi")).head.keep_alive);
}

TEST(Response, NoBodyWhereNoneIs) {
  auto reading = read_response(ok("Content-Length: 500\r\n"), "HEAD");
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.head.body, lane::BodyKind::none);
  EXPECT_EQ(reading.head.body_length, 500u);
  EXPECT_EQ(read_response(ok("Transfer-Encoding: chunked\r\n"), "HEAD").state, State::done);
  EXPECT_EQ(read_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n").state, State::done);
  reading = read_response("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(reading.state, State::done);
  EXPECT_TRUE(reading.head.keep_alive);
  // It says that a body follows: that connection is not used again.
  EXPECT_FALSE(read_response("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n").head.keep_alive);
}

TEST(Response, UntilClose) {
  ResponseReader reader("GET");
  std::string body;
  const std::string head = "HTTP/1.1 200 OK\r\n\r\n";
  ASSERT_TRUE(reader.feed(head, body));
  EXPECT_TRUE(reader.head().until_close);
  EXPECT_FALSE(reader.head().keep_alive);
  ASSERT_TRUE(reader.feed("abc", body));
  EXPECT_EQ(reader.state(), State::body);
  ASSERT_TRUE(reader.finish());
  EXPECT_EQ(reader.state(), State::done);
  EXPECT_EQ(body, "abc");
}

TEST(Response, ATruncatedAnswerIsNotAnAnswer) {
  for (const std::string& whole :
       {ok("Content-Length: 5\r\n", "hello"), ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")}) {
    for (std::size_t size = 1; size < whole.size(); ++size) {
      ResponseReader reader("GET");
      std::string body;
      std::string_view rest = std::string_view(whole).substr(0, size);
      while (!rest.empty()) rest.remove_prefix(*reader.feed(rest, body));
      const auto ended = reader.finish();
      ASSERT_FALSE(ended) << size;
      EXPECT_EQ(ended.error().reason, "truncated");
    }
  }
  ResponseReader untouched("GET");
  EXPECT_TRUE(untouched.finish());
}

TEST(Response, InterimAnswersAreBounded) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n";
  std::string eight;
  for (int i = 0; i < 8; ++i) eight += interim;
  auto reading = read_response(eight + ok("Content-Length: 2\r\n", "hi"));
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.head.status, 200);
  EXPECT_EQ(reading.head.headers.size(), 1u);
  EXPECT_EQ(reading.body, "hi");
  reading = read_response(eight + interim + ok("Content-Length: 2\r\n", "hi"));
  ASSERT_TRUE(reading.refusal);
  EXPECT_EQ(reading.refusal->reason, "interim");
}

TEST(Response, NothingIsTakenBeyondIt) {
  const std::string first = ok("Content-Length: 2\r\n", "hi");
  EXPECT_EQ(read_response(first + "HTTP/1.1 200 OK\r\n\r\n").used, first.size());
}

TEST(Response, RefusedForItsFraming) {
  const struct {
    const char* reason;
    std::string bytes;
  } cases[] = {
      {"te-and-cl", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"content-length", ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")},
      {"content-length", ok("Content-Length: 5, 5\r\n", "hello")},
      {"content-length", ok("Content-Length: -5\r\n", "hello")},
      {"content-length", ok("Content-Length: 5\xa0\r\n", "hello")},
      {"transfer-encoding", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"transfer-encoding", ok("Transfer-Encoding: identity\r\n", "hello")},
      {"transfer-encoding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"chunk", ok("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n")},
      {"chunk", ok("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n")},
      {"chunk", ok("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n")},
      {"chunk", ok("Transfer-Encoding: chunked\r\n", "5;" + std::string(300, 'a') + "\r\nhello\r\n0\r\n\r\n")},
      {"chunk", ok("Transfer-Encoding: chunked\r\n", "0\r\nX: " + std::string(9000, 'a') + "\r\n\r\n")},
      {"obs-fold", ok("Transfer-Encoding: chunked\r\n", "0\r\nX: a\r\n b\r\n\r\n")},
      {"obs-fold", ok("X: a\r\n b\r\n")},
      {"bare-lf", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
      {"bare-cr", ok("X: a\rSet-Cookie: b\r\n")},
      {"control-byte", ok(std::string("X: a\0b\r\n", 8))},
      {"field-name", ok("Content-Length : 5\r\n", "hello")},
      {"field", ok("no colon\r\n")},
      {"status-line", "HTTP/2 200 OK\r\n\r\n"},
      {"status-line", "HTTP/1.1 99 Low\r\n\r\n"},
      {"status-line", "HTTP/1.1 600 High\r\n\r\n"},
      {"status-line", "HTTP/1.1 2000 OK\r\n\r\n"},
      {"status-line", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
      {"upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
      {"interim", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello"},
      {"head-size", ok("X: " + std::string(100 * 1024, 'a') + "\r\n")},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.bytes.substr(0, 100));
    const auto reading = read_response(c.bytes);
    ASSERT_TRUE(reading.refusal) << "accepted";
    EXPECT_EQ(reading.refusal->reason, c.reason);
    EXPECT_EQ(reading.refusal->status, 502);
  }
}

// Only where the request asked for it; then nothing of what follows is HTTP's.
TEST(Response, SwitchesProtocolsOnlyWhenItMay) {
  const std::string head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  const auto read = [](const std::string& bytes, bool may_switch) {
    return read_every_way<ResponseHead>([&] { return ResponseReader("GET", {}, may_switch); }, bytes);
  };
  EXPECT_TRUE(read(head, false).refusal);
  const auto reading = read(head + "\x81\x01x", true);
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.head.status, 101);
  EXPECT_EQ(reading.used, head.size());
  EXPECT_EQ(read("HTTP/1.1 100 Continue\r\n\r\n" + head, true).head.status, 101);
  EXPECT_EQ(read("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", true).body, "no");
  EXPECT_TRUE(read("HTTP/1.0 101 Switching Protocols\r\n\r\n", true).refusal);
  EXPECT_TRUE(read("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\nhello", true).refusal);
}

}  // namespace
}  // namespace bulkhead::http
