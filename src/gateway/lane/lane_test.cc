#include "gateway/lane.h"

#include <gtest/gtest.h>

namespace bulkhead::lane {
namespace {

Request sample_request() {
  Request request;
  request.grant = "7";
  request.method = "POST";
  request.scheme = "https";
  request.host = "api.example.com";
  request.port = 8443;
  request.target = "/v1/items?limit=3";
  request.headers = {{"accept", "*/*"}, {"x-empty", ""}, {"accept", "text/plain"}};
  request.slot_filled = true;
  request.issued = 12;
  request.body = BodyKind::length;
  request.body_length = 0x0102030405060708;
  return request;
}

std::string payload_of(const std::string& frame) {
  return frame.substr(header_size);
}

bool same(const Request& a, const Request& b) {
  return a.grant == b.grant && a.method == b.method && a.scheme == b.scheme && a.host == b.host && a.port == b.port &&
         a.target == b.target && a.headers == b.headers && a.slot_filled == b.slot_filled && a.issued == b.issued &&
         a.body == b.body && a.body_length == b.body_length;
}

TEST(Lane, RequestSurvives) {
  const Request request = sample_request();
  const std::string frame = encode(request);
  const auto header = decode_header(std::string_view(frame).substr(0, header_size));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->kind, Kind::request);
  EXPECT_EQ(header->length, frame.size() - header_size);
  const auto decoded = decode_request(payload_of(frame));
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(same(request, *decoded));
}

TEST(Lane, ResponseAndFailureSurvive) {
  Response response;
  response.status = 206;
  response.headers = {{"content-type", "application/json"}};
  response.body = BodyKind::streamed;
  const auto decoded = decode_response(payload_of(encode(response)));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->status, 206);
  EXPECT_EQ(decoded->headers, response.headers);
  EXPECT_EQ(decoded->body, BodyKind::streamed);
  EXPECT_EQ(decoded->body_length, 0u);

  const auto failure = decode_failure(payload_of(encode(Failure{504, "connect", "no answer"})));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->status, 504);
  EXPECT_EQ(failure->reason, "connect");
  EXPECT_EQ(failure->text, "no answer");
}

TEST(Lane, TrailersSurviveAndAreNeverNone) {
  const Headers trailers{{"grpc-status", "0"}, {"grpc-message", ""}};
  const std::string payload = payload_of(encode_trailers(trailers));
  const auto decoded = decode_trailers(payload);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, trailers);
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(decode_trailers(std::string_view(payload).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_trailers(payload + "x"));
  EXPECT_FALSE(decode_trailers(std::string(4, '\0')));
}

TEST(Lane, AnAnswerToHeadDeclaresItsLength) {
  const auto decoded = decode_response(payload_of(encode(Response{200, {}, BodyKind::none, 500})));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->body, BodyKind::none);
  EXPECT_EQ(decoded->body_length, 500u);
}

TEST(Lane, LayoutIsLittleEndianAndWrittenDown) {
  EXPECT_EQ(encode(Failure{0x1f6, "ab", ""}), std::string("\x05\x0c\0\0\0"
                                                          "\xf6\x01"
                                                          "\x02\0\0\0ab"
                                                          "\0\0\0\0",
                                                          17));
  EXPECT_EQ(encode_end(), std::string("\x03\0\0\0\0", 5));
  EXPECT_EQ(encode_body("xyz"), std::string("\x02\x03\0\0\0xyz", 8));
}

// Every cut and every added byte is refused: a payload is used up exactly or not at all.
TEST(Lane, NoPrefixAndNoSuffixDecodes) {
  const std::string payload = payload_of(encode(sample_request()));
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(decode_request(std::string_view(payload).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_request(payload + '\0'));
  const std::string answer = payload_of(encode(Response{200, {{"a", "b"}}, BodyKind::length, 3}));
  for (std::size_t size = 0; size < answer.size(); ++size) {
    EXPECT_FALSE(decode_response(std::string_view(answer).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_response(answer + "x"));
  const std::string failure = payload_of(encode(Failure{502, "tls", "expired"}));
  for (std::size_t size = 0; size < failure.size(); ++size) {
    EXPECT_FALSE(decode_failure(std::string_view(failure).substr(0, size))) << size;
  }
}

TEST(Lane, OneValuePerMeaning) {
  std::string payload = payload_of(encode(sample_request()));
  payload[payload.size() - 14] = 2;  // slot_filled: 0 or 1
  EXPECT_FALSE(decode_request(payload));
  payload[payload.size() - 14] = 0;  // the number of what the slot does not hold
  EXPECT_FALSE(decode_request(payload));
  payload[payload.size() - 14] = 1;
  EXPECT_TRUE(decode_request(payload));
  payload[payload.size() - 10] = '\x7f';  // beyond the largest number
  EXPECT_FALSE(decode_request(payload));
  payload[payload.size() - 10] = 0;
  payload[payload.size() - 9] = 3;  // no such BodyKind
  EXPECT_FALSE(decode_request(payload));
  payload[payload.size() - 9] = 2;  // streamed, yet with a length
  EXPECT_FALSE(decode_request(payload));
}

TEST(Lane, HeaderCountIsNotBelieved) {
  // status, then a count far beyond the payload.
  EXPECT_FALSE(decode_response(std::string("\xc8\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0", 15)));
}

TEST(Lane, MessagesSurvive) {
  for (const Opcode opcode :
       {Opcode::continuation, Opcode::text, Opcode::binary, Opcode::close, Opcode::ping, Opcode::pong}) {
    for (const bool last : {false, true}) {
      const auto decoded = decode_message(payload_of(encode(Message{opcode, last, "words"})));
      ASSERT_TRUE(decoded);
      EXPECT_EQ(decoded->opcode, opcode);
      EXPECT_EQ(decoded->last, last);
      EXPECT_EQ(decoded->data, "words");
    }
  }
  EXPECT_EQ(encode(Message{Opcode::ping, true, ""}), std::string("\x12\x01\0\0\0\x89", 6));
  EXPECT_FALSE(decode_message(""));
  for (const int first : {0x03, 0x83, 0x07, 0x0b, 0x8f, 0x11, 0x41, 0xc1}) {
    EXPECT_FALSE(decode_message(std::string(1, static_cast<char>(first)))) << first;
  }
  EXPECT_FALSE(decode_message(std::string(max_body + 1, '\x01')));
}

TEST(Lane, FrameHeaders) {
  const auto header = [](int kind, std::uint32_t length) {
    std::string bytes(1, static_cast<char>(kind));
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
    return decode_header(bytes);
  };
  EXPECT_FALSE(header(0, 0));
  EXPECT_TRUE(header(7, 0));
  EXPECT_FALSE(header(7, 1));
  EXPECT_FALSE(header(8, 0));
  EXPECT_TRUE(header(6, max_head));
  EXPECT_TRUE(header(1, max_head));
  EXPECT_FALSE(header(1, max_head + 1));
  EXPECT_TRUE(header(2, max_body));
  EXPECT_FALSE(header(2, max_body + 1));
  EXPECT_TRUE(header(3, 0));
  EXPECT_FALSE(header(3, 1));
  EXPECT_FALSE(header(4, 0xffffffff));
  EXPECT_FALSE(decode_header("\x03\0\0\0"));
}

TEST(LaneDeathTest, OversizeIsAProgrammingError) {
  EXPECT_DEATH((void)encode_body(std::string(max_body + 1, 'x')), "does not fit");
  Request request = sample_request();
  request.target.assign(max_head, 'x');
  EXPECT_DEATH((void)encode(request), "does not fit");
}

}  // namespace
}  // namespace bulkhead::lane
