// ATTACKS F01, H02, H04 and the HTTP/2 twins of the HTTP/1 rows: what a header block may say.
#include "gateway/http/h2_rules.h"

#include <gtest/gtest.h>

namespace bulkhead::http {
namespace {

lane::Headers get(const lane::Headers& more = {}) {
  lane::Headers out{
      {":method", "GET"}, {":scheme", "https"}, {":authority", "api.example.com"}, {":path", "/v1/items"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

lane::Headers post(const lane::Headers& more = {}) {
  lane::Headers out = get(more);
  out[0].second = "POST";
  return out;
}

lane::Headers with(std::size_t at, const std::string& value) {
  lane::Headers out = get();
  out[at].second = value;
  return out;
}

lane::Headers without(std::size_t at) {
  lane::Headers out = get();
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
  return out;
}

TEST(H2Rules, ARequestIsWhatHttp1sGateYields) {
  const auto head =
      h2_request_head(post({{"content-type", "a/b"}, {"content-length", "5"}, {"te", "trailers"}}), false, "https");
  ASSERT_TRUE(head) << head.error().text;
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/v1/items");
  EXPECT_EQ(head->host, "api.example.com");
  EXPECT_EQ(head->body, lane::BodyKind::length);
  EXPECT_EQ(head->body_length, 5U);
  EXPECT_EQ(head->headers,
            (lane::Headers{
                {"host", "api.example.com"}, {"content-type", "a/b"}, {"content-length", "5"}, {"te", "trailers"}}));
}

TEST(H2Rules, TheBodyIsFramedByTheStream) {
  EXPECT_EQ(h2_request_head(get(), true, "https")->body, lane::BodyKind::none);
  EXPECT_EQ(h2_request_head(post(), false, "https")->body, lane::BodyKind::streamed);
  const auto none = h2_request_head(post({{"content-length", "0"}}), true, "https");
  EXPECT_EQ(none->body, lane::BodyKind::none);
  const auto later = h2_request_head(post({{"content-length", "0"}}), false, "https");
  EXPECT_EQ(later->body, lane::BodyKind::length);
  EXPECT_EQ(later->body_length, 0U);
  EXPECT_TRUE(h2_request_head(post({{"expect", "100-continue"}}), false, "https")->expect_continue);
}

TEST(H2Rules, RefusesEveryOtherRequest) {
  const struct {
    const char* row;
    std::uint16_t status;
    const char* reason;
    lane::Headers fields;
    bool ended = true;
  } cases[] = {
      {"F01", 400, "pseudo", without(0)},
      {"F01", 400, "pseudo", without(1)},
      {"F01", 400, "pseudo", without(2)},
      {"F01", 400, "pseudo", without(3)},
      {"F01", 400, "pseudo", {{"host", "api.example.com"}, {":method", "GET"}}},
      {"F01", 400, "pseudo", get({{":path", "/v2"}})},
      {"F01", 400, "pseudo", {{":method", "GET"}, {":method", "POST"}}},
      {"F01", 400, "pseudo", {{":method", "GET"}, {":authority", "a"}, {":authority", "b"}}},
      {"F01", 400, "pseudo", {{":status", "200"}}},
      {"F01", 400, "pseudo", get({{"a", "b"}, {":scheme", "https"}})},
      {"F01", 400, "pseudo", {{":unknown", "x"}}},
      {"F01", 400, "pseudo", {}},
      {"F01", 421, "host-mismatch", get({{"host", "evil.example.com"}})},
      {"F01", 421, "host-mismatch", get({{"host", "API.example.com"}})},
      {"F01", 421, "host-mismatch", get({{"host", "api.example.com:443"}})},
      {"F01", 400, "host-duplicate", get({{"host", "api.example.com"}, {"host", "api.example.com"}})},
      {"F01", 400, "host-malformed", with(2, "user@api.example.com")},
      {"F01", 400, "host-malformed", with(2, "api.example.com, evil.example.com")},
      {"F01", 400, "host-empty", with(2, "")},
      {"F01", 400, "scheme", with(1, "http")},
      {"F01", 400, "scheme", with(1, "HTTPS")},
      {"F01", 400, "scheme", with(1, "")},
      {"F01", 400, "target", with(3, "v1/items")},
      {"F01", 400, "target", with(3, "")},
      {"F01", 405, "method", with(3, "*")},
      {"F01", 400, "absolute-form", with(3, "https://api.example.com/v1/items")},
      {"F01", 421, "host-mismatch", with(3, "https://evil.example.com/v1/items")},
      {"F01", 400, "target", with(3, "/a#b")},
      {"F01", 400, "target", with(3, "/a HTTP/1.1")},
      {"F01", 400, "control-byte", with(3, "/a\r\nx: y")},
      {"F01", 400, "control-byte", with(2, "api.example.com\r\nx: y")},
      {"F01", 400, "eight-bit", with(3, "/\xc3\xa4")},
      {"F01", 431, "target-size", with(3, "/" + std::string(17 * 1024, 'a'))},
      {"F04", 405, "method", {{":method", "CONNECT"}, {":authority", "api.example.com:443"}}},
      {"F04", 405, "method", with(0, "CONNECT")},
      {"F04",
       405,
       "method",
       {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/"}}},
      {"F04", 501, "extended-connect", {{":method", "GET"}, {":protocol", "websocket"}}},
      {"H15", 405, "method", with(0, "TRACE")},
      {"H14", 400, "method", with(0, "get")},
      {"H14", 400, "method", with(0, "GE T")},
      {"H14", 400, "method", with(0, "")},
      {"names", 400, "field-name", get({{"X-Upper", "a"}})},
      {"names", 400, "field-name", get({{"", "a"}})},
      {"names", 400, "field-name", get({{"a b", "a"}})},
      {"names", 400, "field-name", get({{"a:b", "a"}})},
      {"names", 400, "field-name", get({{"a\r\nb", "a"}})},
      {"values", 400, "control-byte", get({{"a", "x\r\ny: z"}})},
      {"values", 400, "control-byte", get({{"a", std::string("x\0y", 3)}})},
      {"values", 400, "control-byte", get({{"a", "\x7f"}})},
      {"values", 400, "eight-bit", get({{"a", "\xe9"}})},
      {"values", 400, "field", get({{"a", " x"}})},
      {"values", 400, "field", get({{"a", "x\t"}})},
      {"connection", 400, "connection", get({{"connection", "close"}})},
      {"connection", 400, "connection", get({{"keep-alive", "1"}})},
      {"connection", 400, "connection", get({{"proxy-connection", "close"}})},
      {"connection", 400, "connection", get({{"upgrade", "h2c"}})},
      {"connection", 400, "connection", get({{"http2-settings", "x"}})},
      {"connection", 400, "connection", get({{"te", "gzip"}})},
      {"connection", 400, "connection", get({{"te", "trailers, deflate"}})},
      {"H03", 400, "connection", post({{"transfer-encoding", "chunked"}}), false},
      {"H04", 400, "content-length", post({{"content-length", "5"}, {"content-length", "5"}}), false},
      {"H04", 400, "content-length", post({{"content-length", "+5"}}), false},
      {"H04", 400, "content-length", post({{"content-length", "05"}}), false},
      {"H04", 400, "content-length", post({{"content-length", "5, 5"}}), false},
      {"H04", 400, "content-length", post({{"content-length", "5"}}), true},
      {"H20", 417, "expect", post({{"expect", "200-ok"}}), false},
      {"H21", 431, "headers", get(lane::Headers(100, {"a", "b"}))},
      {"H21", 431, "head-size", get({{"a", std::string(70 * 1024, 'x')}})},
  };
  for (const auto& one : cases) {
    const auto head = h2_request_head(one.fields, one.ended, "https");
    ASSERT_FALSE(head) << one.row << " " << one.reason << " " << one.fields.size();
    EXPECT_EQ(head.error().reason, one.reason) << one.row << ": " << head.error().text;
    EXPECT_EQ(head.error().status, one.status) << one.row << ": " << head.error().text;
  }
}

lane::Headers status(const char* code, const lane::Headers& more = {}) {
  lane::Headers out{{":status", code}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(H2Rules, Answers) {
  auto head = h2_response_head(status("200", {{"content-length", "5"}, {"x", "\xe9"}, {"y", "z"}}), false, false);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, lane::BodyKind::length);
  EXPECT_EQ(head->headers, (lane::Headers{{"content-length", "5"}, {"y", "z"}}));  // 8-bit values are left out
  EXPECT_EQ(h2_response_head(status("200"), false, false)->body, lane::BodyKind::streamed);
  EXPECT_FALSE(h2_response_head(status("200"), false, false)->until_close);
  EXPECT_EQ(h2_response_head(status("200"), true, false)->body, lane::BodyKind::none);
  EXPECT_EQ(h2_response_head(status("204"), true, false)->body, lane::BodyKind::none);
  head = h2_response_head(status("200", {{"content-length", "5"}}), true, true);
  EXPECT_EQ(head->body, lane::BodyKind::none);
  EXPECT_EQ(head->body_length, 5U);
  EXPECT_EQ(h2_response_head(status("103"), false, false)->status, 103);
}

TEST(H2Rules, RefusesEveryOtherAnswer) {
  const struct {
    const char* reason;
    lane::Headers fields;
    bool ended = false;
  } cases[] = {
      {"pseudo", {}},
      {"pseudo", {{":status", "200"}, {":status", "200"}}},
      {"pseudo", {{"a", "b"}, {":status", "200"}}},
      {"pseudo", status("200", {{":status", "200"}})},
      {"pseudo", status("200", {{"a", "b"}, {":path", "/"}})},
      {"pseudo", {{":path", "/"}}},
      {"status-line", status("20")},
      {"status-line", status("2000")},
      {"status-line", status("099")},
      {"status-line", status("600")},
      {"status-line", status("+20")},
      {"upgrade", status("101")},
      {"interim", status("103"), true},
      {"interim", status("100", {{"content-length", "5"}})},
      {"connection", status("200", {{"transfer-encoding", "chunked"}})},
      {"connection", status("200", {{"connection", "close"}})},
      {"connection", status("200", {{"te", "trailers"}})},
      {"content-length", status("200", {{"content-length", "5"}}), true},
      {"content-length", status("200", {{"content-length", "5"}, {"content-length", "6"}})},
      {"field-name", status("200", {{"Bad", "x"}})},
      {"control-byte", status("200", {{"a", "x\ny"}})},
      {"headers", status("200", lane::Headers(101, {"a", "b"}))},
  };
  for (const auto& one : cases) {
    const auto head = h2_response_head(one.fields, one.ended, false);
    ASSERT_FALSE(head) << one.reason << " " << one.fields.size();
    EXPECT_EQ(head.error().reason, one.reason) << head.error().text;
    EXPECT_EQ(head.error().status, 502);
  }
}

TEST(H2Rules, Trailers) {
  EXPECT_EQ(*h2_trailers({{"grpc-status", "0"}, {"x", "\xe9"}}, true), (lane::Headers{{"grpc-status", "0"}}));
  EXPECT_FALSE(h2_trailers({{"grpc-status", "0"}}, false));
  EXPECT_FALSE(h2_trailers({{":status", "200"}}, true));
  EXPECT_FALSE(h2_trailers({{"connection", "close"}}, true));
  EXPECT_FALSE(h2_trailers({{"a", "x\r\n"}}, true));
}

}  // namespace
}  // namespace bulkhead::http
