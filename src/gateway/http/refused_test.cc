// Requests no parser behind us may see: each is refused, for the reason named. `attack` is the id of the attack it
// stands for; several of these were accepted by widely used proxies.
#include "gateway/http/reading_test.h"

namespace bulkhead::http {
namespace {

struct Case {
  const char* attack;
  int status;
  const char* reason;
  std::string bytes;
};

std::string get(const std::string& fields) {
  return "GET / HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n";
}
std::string post(const std::string& fields, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n" + body;
}
std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}
std::string hosted(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}
std::string line(const std::string& start) {
  return start + "\r\nHost: a.example\r\n\r\n";
}
const std::string upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const std::string offer = key + "Sec-WebSocket-Version: 13\r\n";
std::string websocket(const std::string& fields) {
  return get(upgrade + offer + fields);
}
std::string with_key(const std::string& value) {
  return get(upgrade + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + value + "\r\n");
}
std::string with_nul(std::string text) {
  text[text.find('@')] = '\0';
  return text;
}

std::vector<Case> cases() {
  return {
      // Host
      {"H01", 421, "host-mismatch", line("GET http://b.example/ HTTP/1.1")},
      {"H01", 421, "host-mismatch", line("GET http://a.example:81/ HTTP/1.1")},
      {"H01", 421, "host-mismatch", line("GET http://a.example@b.example/ HTTP/1.1")},
      {"H01", 400, "absolute-form", line("GET http://a.example/ HTTP/1.1")},
      {"H01", 400, "absolute-form", line("GET HTTP://A.EXAMPLE/ HTTP/1.1")},
      {"N17", 421, "host-mismatch", line("GET ftp://b.example/x HTTP/1.1")},
      {"N17", 421, "host-mismatch", line("GET file:///etc/passwd HTTP/1.1")},
      {"N17", 400, "target", line("GET urn:isbn:1 HTTP/1.1")},
      {"H02", 400, "host-missing", "GET / HTTP/1.1\r\n\r\n"},
      {"H02", 400, "host-missing", "GET / HTTP/1.1\r\nX-Host: a.example\r\n\r\n"},
      {"H02", 400, "host-duplicate", get("Host: b.example\r\n")},
      {"H02", 400, "host-duplicate", get("hOsT: a.example\r\n")},
      {"H02", 400, "host-empty", hosted("")},
      {"H02", 400, "host-empty", hosted("  \t ")},
      {"H02", 400, "host-malformed", hosted("user@a.example")},
      {"H02", 400, "host-malformed", hosted("user:pw@a.example")},
      {"H02", 400, "host-malformed", hosted("a.example, b.example")},
      {"H02", 400, "host-malformed", hosted("a.example b.example")},
      {"N09", 400, "host-malformed", hosted("b.example#@a.example")},
      {"N09", 400, "host-malformed", hosted("b.example\\@a.example")},
      {"N09", 400, "host-malformed", hosted("a.example/")},
      {"N09", 400, "host-malformed", hosted("http://a.example")},
      {"N07", 400, "host-malformed", hosted("b.example%00.a.example")},
      {"N10", 400, "eight-bit", hosted("\xd0\xb0.example")},
      {"N10", 400, "eight-bit",
       hosted("a\xe3\x80\x82"
              "example")},
      {"N06", 400, "control-byte", with_nul(hosted("b.example@.a.example"))},
      {"H02", 400, "host-malformed", hosted(std::string(300, 'a'))},
      // Framing
      {"H03", 400, "te-and-cl", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"H03", 400, "te-and-cl", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
      {"H03", 400, "te-and-cl", post("Transfer-Encoding: identity\r\nContent-Length: 0\r\n", "")},
      {"H04", 400, "content-length", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")},
      {"H04", 400, "content-length", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 5, 5\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: +5\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: -1\r\n", "")},
      {"H04", 400, "content-length", post("Content-Length: 0x5\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 5 5\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 5.0\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length:\r\n", "")},
      {"H04", 400, "content-length", post("Content-Length: 18446744073709551621\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 9223372036854775808\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 00005\r\n", "hello")},
      {"H04", 400, "content-length", post("Content-Length: 00\r\n", "")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
      {"H05", 400, "control-byte",
       post("Transfer-Encoding: \x0b"
            "chunked\r\n",
            "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding: chunked;x=y\r\n", "0\r\n\r\n")},
      {"H05", 400, "transfer-encoding", post("Transfer-Encoding:\r\n", "")},
      {"H05", 400, "field-name", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")},
      // Chunks
      {"H07", 400, "chunk", chunked("0x5\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("-5\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("+5\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5_0\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked(" 5\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5 \r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("00000000000000005\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("ffffffffffffffff\r\nhello\r\n")},
      {"H07", 400, "chunk", chunked("5\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5\rXhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5\r\nhello\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5\r\nhello\rX0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5\r\nhello!\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("\r\nhello\r\n0\r\n\r\n")},
      {"H07", 400, "chunk", chunked("0\r\n\rX")},
      {"H07", 400, "chunk", chunked("0\n\n")},
      {"H07", 400, "trailer", chunked("0\r\nAuthorization: Bearer x\r\n\r\n")},
      // Lines and bytes
      {"H10", 400, "obs-fold", get("X-A: b\r\n c\r\n")},
      {"H10", 400, "obs-fold", get("X-A: b\r\n\tc\r\n")},
      {"H10", 400, "obs-fold", "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n"},
      {"H10", 400, "obs-fold", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
      {"H11", 400, "bare-lf", "GET / HTTP/1.1\nHost: a.example\n\n"},
      {"H11", 400, "bare-lf", get("X-A: b\nX-B: c\r\n")},
      {"H11", 400, "bare-cr", get("X-A: b\rX-B: c\r\n")},
      {"H11", 400, "bare-cr", get("X-A: b\r\r\n")},
      {"H11", 400, "control-byte", with_nul(get("X-A: b@c\r\n"))},
      {"H11", 400, "control-byte",
       get("X-A: b\x0b"
           "c\r\n")},
      {"H11", 400, "control-byte",
       get("X-A: b\x0c"
           "c\r\n")},
      {"H11", 400, "control-byte",
       get("X-A: b\x7f"
           "c\r\n")},
      {"H11", 400, "control-byte", get("X-A: \x1b[31m\r\n")},
      {"H11", 400, "eight-bit", get("X-A: caf\xc3\xa9\r\n")},
      {"H12", 400, "field-name", get("X-A : b\r\n")},
      {"H12", 400, "field-name", get("X-A\t: b\r\n")},
      {"H12", 400, "field-name", get(": b\r\n")},
      {"H12", 400, "eight-bit", get("X-\xc3\x84: b\r\n")},
      {"H12", 400, "field-name", get("X(A): b\r\n")},
      {"H12", 400, "field", get("X-A\r\n")},
      // Start lines
      {"H15", 405, "method", line("CONNECT b.example:443 HTTP/1.1")},
      {"H15", 405, "method", line("CONNECT / HTTP/1.1")},
      {"H17", 405, "method", line("TRACE / HTTP/1.1")},
      {"H17", 405, "method", line("TRACK / HTTP/1.1")},
      {"H17", 405, "method", line("OPTIONS * HTTP/1.1")},
      {"H17", 405, "max-forwards", get("Max-Forwards: 0\r\n")},
      {"start", 400, "method", line("get / HTTP/1.1")},
      {"start", 400, "method", line("G@T / HTTP/1.1")},
      {"start", 400, "start-line", line("GET  / HTTP/1.1")},
      {"start", 400, "start-line", line("GET / x HTTP/1.1")},
      {"start", 400, "start-line", line("GET /\tHTTP/1.1")},
      {"start", 400, "start-line", line(" GET / HTTP/1.1")},
      {"start", 400, "start-line", line("GET / http/1.1")},
      {"start", 400, "start-line", line("GET / HTTP/1.1 ")},
      {"start", 400, "start-line", line("GET / HTTP/1.10")},
      {"start", 400, "start-line", line("GET /")},
      {"start", 505, "version", line("GET / HTTP/1.0")},
      {"start", 505, "version", line("GET / HTTP/2.0")},
      {"start", 505, "version", line("GET / HTTP/0.9")},
      {"start", 505, "version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"start", 400, "empty-line", "\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
      {"start", 400, "target", line("GET index.html HTTP/1.1")},
      {"start", 400, "target", line("GET /a#b HTTP/1.1")},
      {"start", 400, "eight-bit", line("GET /caf\xc3\xa9 HTTP/1.1")},
      {"T05", 400, "control-byte", std::string("\x16\x03\x01\x02\x00\x01", 6)},
      {"T05", 400, "eight-bit", std::string("\x80\x2e\x01\x03\x01", 5)},
      // Expectations and upgrades
      {"H20", 417, "expect", post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello")},
      {"H20", 417, "expect", post("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n", "hello")},
      {"upgrade", 501, "upgrade", get("Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n")},
      {"upgrade", 501, "upgrade", get("Upgrade: websocket/13\r\nConnection: Upgrade\r\n")},
      {"upgrade", 501, "upgrade", websocket("Upgrade: websocket\r\n")},
      {"upgrade", 501, "upgrade", get("Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" + offer)},
      // Half a WebSocket's opening request
      {"ws", 400, "websocket", get("Upgrade: websocket\r\nConnection: Upgrade\r\n")},
      {"ws", 400, "websocket", get("Upgrade: websocket\r\n" + offer)},
      {"ws", 400, "websocket", get("Upgrade: websocket\r\nConnection: keep-alive\r\n" + offer)},
      {"ws", 400, "websocket", get(upgrade + "Sec-WebSocket-Version: 13\r\n")},
      {"ws", 400, "websocket", get(upgrade + key)},
      {"ws", 400, "websocket", get(upgrade + key + "Sec-WebSocket-Version: 8\r\n")},
      {"ws", 400, "websocket", get(upgrade + key + "Sec-WebSocket-Version: 13, 8\r\n")},
      {"ws", 400, "websocket", websocket("Sec-WebSocket-Version: 13\r\n")},
      {"ws", 400, "websocket", websocket(key)},
      {"ws", 400, "websocket", websocket("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n")},
      {"ws", 400, "websocket", websocket("Sec-WebSocket-Protocol: a, ,b\r\n")},
      {"ws", 400, "websocket", websocket("Sec-WebSocket-Protocol: \r\n")},
      {"ws", 400, "websocket", websocket("Sec-WebSocket-Protocol: a b\r\n")},
      {"ws", 400, "websocket", websocket("Content-Length: 0\r\n")},
      {"ws", 400, "websocket", websocket("Content-Length: 5\r\n") + "hello"},
      {"ws", 400, "websocket", websocket("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
      {"ws", 400, "websocket", websocket("Expect: 100-continue\r\n")},
      {"ws", 400, "websocket", "POST / HTTP/1.1\r\nHost: a.example\r\n" + upgrade + offer + "\r\n"},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBsZSBub25jZQ=")},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBsZSBub25jZR==")},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBsZSBub25j")},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBsZSBub25jZQ==dGhl")},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBsZSBub25j Q==")},
      {"ws", 400, "websocket", with_key("dGhlIHNhbXBs-SBub25jZQ==")},
      {"ws", 400, "websocket", with_key("")},
      {"ws", 400, "upgrade", websocket("HTTP2-Settings: AAMAAABk\r\nHTTP2-Settings: AAMAAABk\r\n")},
      {"upgrade", 501, "upgrade", get("Upgrade: h2c\r\nUpgrade: websocket\r\n")},
      {"upgrade", 501, "upgrade", get("Upgrade: h2c, websocket\r\n")},
      {"upgrade", 400, "upgrade", get("HTTP2-Settings: AAMAAABk\r\n")},
      {"H14", 400, "connection", get("Connection: close, @\r\n")},
      {"H14", 400, "connection", get("Connection: \"close\"\r\n")},
      // Sizes
      {"H21", 431, "head-size", get("X-A: " + std::string(100 * 1024, 'a') + "\r\n")},
      {"H21", 431, "target-size", line("GET /" + std::string(20 * 1024, 'a') + " HTTP/1.1")},
      {"H21", 431, "headers", get([] {
         std::string many;
         for (int i = 0; i < 2000; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
         return many;
       }())},
  };
}

TEST(Refused, EveryOneForItsReason) {
  std::size_t count = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(std::string(c.attack) + ": " + c.bytes.substr(0, 120));
    const auto reading = read_request(c.bytes);
    ASSERT_TRUE(reading.refusal) << "accepted";
    EXPECT_EQ(reading.refusal->reason, c.reason);
    EXPECT_EQ(reading.refusal->status, c.status);
    EXPECT_FALSE(reading.refusal->text.empty());
    ++count;
  }
  EXPECT_GE(count, 60u);
}

// Also behind a request that was fine: a reader for the second message sees it as strictly (ATTACKS H18).
TEST(Refused, NothingIsTakenBeyondAMessage) {
  const std::string first = post("Content-Length: 5\r\n", "hello");
  const std::string second = "GET /second HTTP/1.1\r\nHost: a.example\r\n\r\n";
  const auto reading = read_request(first + second);
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.used, first.size());
  EXPECT_EQ(reading.body, "hello");
}

// The caller decides at the end of the head, before a byte of body is taken (ATTACKS H24).
TEST(Refused, StopsAtTheEndOfTheHead) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n";
  RequestReader reader;
  std::string body;
  const auto taken = reader.feed(head + "hello", body);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, head.size());
  EXPECT_EQ(reader.state(), State::body);
  EXPECT_TRUE(body.empty());
}

TEST(Refused, AWholeWebSocketHandshakeIsNot) {
  for (const std::string& bytes :
       {websocket(""), websocket("Sec-WebSocket-Protocol: chat,v2.example\r\n"),
        websocket("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        get("Connection: keep-alive, upgrade\r\nUPGRADE: WebSocket\r\n" + offer)}) {
    const auto reading = read_request(bytes + "\x81\x80");
    ASSERT_FALSE(reading.refusal) << reading.refusal->text;
    EXPECT_TRUE(reading.head.websocket);
    EXPECT_EQ(reading.used, bytes.size()) << "what follows is none of HTTP's";
  }
  EXPECT_FALSE(read_request(get(offer)).head.websocket) << "nothing is upgraded without Upgrade";
}

TEST(Refused, AnUnfinishedMessageIsNeverDone) {
  const std::string whole = chunked("5\r\nhello\r\n0\r\n\r\n");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto reading = read_request(std::string_view(whole).substr(0, size));
    EXPECT_FALSE(reading.refusal) << size;
    EXPECT_NE(reading.state, State::done) << size;
  }
  EXPECT_EQ(read_request(whole).state, State::done);
}

}  // namespace
}  // namespace bulkhead::http
