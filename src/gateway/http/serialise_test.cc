#include "gateway/http/reading_test.h"

namespace bulkhead::http {
namespace {

using lane::BodyKind;

TEST(Serialise, RequestsAreOurBytes) {
  EXPECT_EQ(serialise_request("GET", "a.example", "/x?y=1", {{"accept", "*/*"}}, BodyKind::none, 0),
            "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\naccept: */*\r\n\r\n");
  EXPECT_EQ(serialise_request("POST", "a.example:8443", "/", {}, BodyKind::length, 12),
            "POST / HTTP/1.1\r\nHost: a.example:8443\r\nContent-Length: 12\r\n\r\n");
  EXPECT_EQ(serialise_request("POST", "a", "/", {}, BodyKind::streamed, 0),
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(serialise_request("PUT", "a", "/", {}, BodyKind::none, 0),
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

TEST(Serialise, FramingNeverComesFromHeaders) {
  EXPECT_EQ(serialise_request("GET", "a", "/",
                              {{"host", "b"},
                               {"content-length", "9"},
                               {"transfer-encoding", "chunked"},
                               {"connection", "close"},
                               {"te", "trailers"},
                               {"upgrade", "h2c"},
                               {"x", "y"}},
                              BodyKind::none, 0),
            "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n\r\n");
  EXPECT_EQ(serialise_response(200, {{"content-length", "9"}, {"connection", "keep-alive"}}, BodyKind::length, 2, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
}

TEST(Serialise, Responses) {
  EXPECT_EQ(serialise_response(403, {{"content-type", "text/plain"}}, BodyKind::none, 0, false),
            "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(serialise_response(204, {}, BodyKind::none, 0, true), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(serialise_response(299, {}, BodyKind::streamed, 0, true),
            "HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\n\r\n");
  // Answers to HEAD declare what GET would have had, or nothing.
  EXPECT_EQ(serialise_response(200, {}, BodyKind::none, 500, true, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  EXPECT_EQ(serialise_response(200, {}, BodyKind::none, 0, true, true), "HTTP/1.1 200 OK\r\n\r\n");
}

TEST(Serialise, ChunksReadBack) {
  EXPECT_EQ(chunk("hello"), "5\r\nhello\r\n");
  EXPECT_EQ(chunk(""), "");
  const std::string big(70000, 'x');
  const auto reading = read_request(serialise_request("POST", "a", "/", {}, BodyKind::streamed, 0) + chunk("ab") +
                                    chunk(big) + last_chunk());
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.state, State::done);
  EXPECT_EQ(reading.body, "ab" + big);
}

TEST(Serialise, ResponsesReadBack) {
  const auto reading =
      read_response(serialise_response(503, {{"retry-after", "1"}}, BodyKind::length, 3, false) + "abc");
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.head.status, 503);
  EXPECT_EQ(reading.body, "abc");
  EXPECT_FALSE(reading.head.keep_alive);
}

TEST(SerialiseDeathTest, AnUncheckedValueEndsTheProcess) {
  const auto request = [](std::string_view target, const lane::Headers& headers) {
    return serialise_request("GET", "a", target, headers, BodyKind::none, 0);
  };
  EXPECT_DEATH((void)request("/\r\nX: y", {}), "nobody checked");
  EXPECT_DEATH((void)request("/ x", {}), "nobody checked");
  EXPECT_DEATH((void)request("/", {{"x", "a\r\nb: c"}}), "nobody checked");
  EXPECT_DEATH((void)request("/", {{"x", std::string("a\0b", 3)}}), "nobody checked");
  EXPECT_DEATH((void)request("/", {{"x: y", "z"}}), "nobody checked");
  EXPECT_DEATH((void)request("/", {{"", "z"}}), "nobody checked");
  EXPECT_DEATH((void)serialise_response(304, {}, BodyKind::length, 5, true), "nobody checked");
}

}  // namespace
}  // namespace bulkhead::http
