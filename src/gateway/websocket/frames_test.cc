#include "gateway/websocket/frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace bulkhead::websocket {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

struct Read {
  std::vector<Message> parts;
  std::string error;
};

Read read_in_steps(Sender sender, std::string_view bytes, std::size_t step) {
  Reader reader(sender);
  Read out;
  while (!bytes.empty() && out.error.empty()) {
    std::string_view now = bytes.substr(0, step);
    bytes.remove_prefix(now.size());
    for (;;) {
      auto part = reader.next(now);
      if (!part) out.error = part.error();
      if (!part || !*part) break;
      out.parts.push_back(std::move(**part));
    }
  }
  return out;
}

// The messages and control frames, whichever parts they came in.
std::vector<Message> joined(const std::vector<Message>& parts) {
  std::vector<Message> out;
  Message message;
  bool open = false;
  for (const Message& part : parts) {
    EXPECT_LE(part.data.size(), max_part);
    if (is_control(part.opcode)) {
      out.push_back(part);
      continue;
    }
    EXPECT_EQ(open, part.opcode == Opcode::continuation);
    if (!open) message = {part.opcode, true, {}};
    message.data += part.data;
    open = !part.last;
    if (!open) out.push_back(message);
  }
  return out;
}

bool same(const std::vector<Message>& a, const std::vector<Message>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Message& x, const Message& y) {
    return x.opcode == y.opcode && x.last == y.last && x.data == y.data;
  });
}

Read read(Sender sender, const std::string& bytes) {
  Read whole = read_in_steps(sender, bytes, bytes.size() + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
    const Read cut = read_in_steps(sender, bytes, step);
    EXPECT_EQ(whole.error, cut.error) << "in steps of " << step;
    if (whole.error.empty()) EXPECT_TRUE(same(joined(whole.parts), joined(cut.parts))) << "in steps of " << step;
  }
  return whole;
}

// As servers send them: first byte, payload.
std::string raw(int first, const std::string& payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() <= 125) {
    out += static_cast<char>(payload.size());
  } else if (payload.size() <= 0xffff) {
    out += {126, static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size() & 0xff)};
  } else {
    out += 127;
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift & 0xff);
  }
  return out + payload;
}

TEST(Frames, WhatIsWrittenIsReadAgain) {
  for (const Sender sender : {Sender::client, Sender::server}) {
    for (const std::size_t size : {0UL, 1UL, 4UL, 125UL, 126UL, 32767UL, 32768UL, 65535UL, 65536UL, 200001UL}) {
      std::string data;
      for (std::size_t i = 0; i < size; ++i) data += static_cast<char>(i * 31 + i / 251);
      const std::string bytes = frame(sender, {Opcode::binary, true, data}) + frame(sender, {Opcode::ping, true, "p"}) +
                                frame(sender, {Opcode::text, false, "a"}) + frame(sender, {Opcode::pong, true, ""}) +
                                frame(sender, {Opcode::continuation, true, "b"}) +
                                frame(sender, {Opcode::close, true, close_payload(1000, "done")});
      const Read got = read(sender, bytes);
      EXPECT_EQ(got.error, "");
      const std::vector<Message> said{{Opcode::binary, true, data},
                                      {Opcode::ping, true, "p"},
                                      {Opcode::pong, true, ""},
                                      {Opcode::text, true, "ab"},
                                      {Opcode::close, true,
                                       "\x03\xe8"
                                       "done"}};
      EXPECT_TRUE(same(joined(got.parts), said)) << size;
      if (sender == Sender::client && size > 32) EXPECT_EQ(bytes.find(data.substr(0, 32)), std::string::npos);
    }
  }
}

TEST(Frames, MasksDiffer) {
  std::vector<std::string> seen;
  for (int i = 0; i < 16; ++i) seen.push_back(frame(Sender::client, {Opcode::text, true, "the same words"}));
  EXPECT_GT(std::set<std::string>(seen.begin(), seen.end()).size(), 12U);
}

TEST(Frames, RefusedFromAServer) {
  const std::string half = raw(0x01, "a");  // a text that goes on
  const std::pair<std::string, std::string> cases[] = {
      {"\xc1\x01"
       "a"s,
       "reserved bit"},
      {"\xa1\x01"
       "a"s,
       "reserved bit"},
      {"\x91\x01"
       "a"s,
       "reserved bit"},
      {raw(0x83, "a"), "unknown kind"},
      {raw(0x87, "a"), "unknown kind"},
      {raw(0x8b, "a"), "unknown kind"},
      {raw(0x8f, "a"), "unknown kind"},
      {frame(Sender::client, {Opcode::text, true, "a"}), "masked"},
      {raw(0x80, "a"), "continuation of no message"},
      {raw(0x00, "a"), "continuation of no message"},
      {half + raw(0x81, "b"), "within another"},
      {half + raw(0x02, "b"), "within another"},
      {raw(0x01, "") + raw(0x81, "b"), "within another"},
      {raw(0x81, "a") + raw(0x80, "b"), "continuation of no message"},
      {raw(0x09, "a"), "control frame in fragments"},
      {raw(0x08, ""), "control frame in fragments"},
      {raw(0x89, std::string(126, 'a')), "more than 125"},
      {"\x88\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s, "more than 125"},
      {"\x82\x7e\x00\x7d"s + std::string(125, 'a'), "longer form"},
      {"\x82\x7e\x00\x00"s, "longer form"},
      {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"s, "longer form"},
      {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"s, "longer than there can be"},
      {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"s, "longer than there can be"},
      {raw(0x88, "a"), "half a code"},
      {raw(0x88, "\x03\xe7"), "code 999"},
      {raw(0x88, "\x03\xec"), "code 1004"},
      {raw(0x88, "\x03\xed"), "code 1005"},
      {raw(0x88, "\x03\xee"), "code 1006"},
      {raw(0x88, "\x03\xf7"), "code 1015"},
      {raw(0x88, "\x0b\xb7"), "code 2999"},
      {raw(0x88, "\x13\x88"), "code 5000"},
      {raw(0x88, "\0\0"s), "code 0"},
      {raw(0x88, "\x03\xe8\xff\xfe"), "not UTF-8"},
      {raw(0x88, "") + raw(0x81, "a"), "behind the close"},
      {raw(0x88, "\x03\xe8") + raw(0x89, ""), "behind the close"},
      {raw(0x88, "") + raw(0x88, ""), "behind the close"},
  };
  for (const auto& [bytes, why] : cases) {
    const Read got = read(Sender::server, bytes);
    EXPECT_NE(got.error.find(why), std::string::npos) << testing::PrintToString(bytes) << ": " << got.error;
  }
  std::string empty = raw(0x01, "");
  for (int i = 0; i < 100; ++i) empty += raw(0x00, "");
  EXPECT_NE(read(Sender::server, empty).error.find("without end"), std::string::npos);
}

TEST(Frames, RefusedFromAClient) {
  EXPECT_NE(read(Sender::client, raw(0x81, "a")).error.find("did not mask"), std::string::npos);
  EXPECT_NE(read(Sender::client,
                 "\xc1\x81\x00\x00\x00\x00"
                 "a"s)
                .error.find("reserved bit"),
            std::string::npos);
  EXPECT_NE(read(Sender::client, "\x82\xfe\x00\x05\x00\x00\x00\x00hello"s).error.find("longer form"),
            std::string::npos);
}

// A claim costs nothing: what is held is what came.
TEST(Frames, AHugeFrameIsGivenOutAsItComes) {
  Reader reader(Sender::server);
  std::string_view head =
      "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"
      "abc"sv;
  auto part = reader.next(head);
  ASSERT_TRUE(part && *part);
  EXPECT_EQ((*part)->data, "abc");
  EXPECT_FALSE((*part)->last);
  EXPECT_EQ((*part)->opcode, Opcode::binary);
  const std::string much(200'000, 'x');
  std::string_view more = much;
  while (!more.empty()) {
    part = reader.next(more);
    ASSERT_TRUE(part && *part);
    EXPECT_LE((*part)->data.size(), max_part);
    EXPECT_EQ((*part)->opcode, Opcode::continuation);
    EXPECT_FALSE((*part)->last);
  }
}

TEST(Frames, CloseReasonsFit) {
  EXPECT_EQ(close_payload(1008, "no"), "\x03\xf0no");
  std::string reason = "Bulkhead: ";
  for (int i = 0; i < 100; ++i) reason += "ä";
  const std::string payload = close_payload(1008, reason);
  EXPECT_LE(payload.size(), 125U);
  EXPECT_GE(payload.size(), 123U);
  EXPECT_EQ(read(Sender::server, frame(Sender::server, {Opcode::close, true, payload})).error, "");
}

TEST(Order, WhatFrontAndEgressMaySayToEachOther) {
  using Parts = std::vector<Message>;
  const auto why = [](const Parts& parts) {
    Order order;
    for (const Message& part : parts) {
      if (auto wrong = order.take(part)) return *wrong;
    }
    return ""s;
  };
  const Message begun{Opcode::text, false, "a"}, on{Opcode::continuation, false, "b"},
      end{Opcode::continuation, true, "c"}, ping{Opcode::ping, true, "p"}, close{Opcode::close, true, ""};
  EXPECT_EQ(why({begun, ping, on, on, end, begun, end, close}), "");
  EXPECT_EQ(why({begun, close}), "");
  for (const Parts& bad :
       {Parts{on}, Parts{end}, Parts{begun, begun}, Parts{begun, end, end}, Parts{close, ping}, Parts{close, close},
        Parts{{Opcode::ping, false, ""}}, Parts{{Opcode::pong, true, std::string(126, 'a')}},
        Parts{{Opcode::close, true, "a"}}, Parts{{Opcode::close, true, "\x03\xee"}}}) {
    EXPECT_NE(why(bad), "");
  }
}

}  // namespace
}  // namespace bulkhead::websocket
