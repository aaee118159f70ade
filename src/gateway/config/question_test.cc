#include "gateway/question.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bulkhead {
namespace {

using nlohmann::json;

Question question() {
  Question out;
  out.number = 7;
  out.method = "POST";
  out.scheme = "https";
  out.host = "api.example.com";
  out.port = 8443;
  out.target = "/v1/a?b=%2f";
  out.headers = {"x-app", "x-other"};
  out.content_type = "application/json";
  out.credential = "api";
  out.http2 = true;
  out.body = lane::BodyKind::length;
  out.body_length = 12;
  return out;
}

TEST(Question, RoundTrip) {
  const json object = to_json(question());
  const auto back = question_from(json::parse(object.dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), object);
  for (const auto kind : {lane::BodyKind::none, lane::BodyKind::streamed}) {
    Question other = question();
    other.body = kind;
    other.body_length = 0;
    other.credential = "";
    ASSERT_TRUE(question_from(to_json(other)));
    EXPECT_EQ(question_from(to_json(other))->body, kind);
  }
}

TEST(Question, RefusesWhatIsNone) {
  const json object = to_json(question());
  for (const auto& [key, unused] : object.items()) {
    for (const json& wrong : {json(nullptr), json(-1), json(1.5), json(true), json("\xff"), json("\n"),
                              json::array({1}), json::object(), json(std::string(100'000, 'a')), json(UINT64_MAX)}) {
      json other = object;
      other[key] = wrong;
      const bool fits = (key == "http2" && wrong.is_boolean());
      EXPECT_EQ(question_from(other).has_value(), fits)
          << key << " " << wrong.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 40);
    }
    json other = object;
    other.erase(key);
    EXPECT_FALSE(question_from(other)) << key;
  }
  json other = object;
  other["grant"] = "1";
  EXPECT_FALSE(question_from(other));
}

TEST(Question, Bounds) {
  const auto is = [](const std::function<void(Question&)>& change) {
    Question changed = question();
    change(changed);
    return question_from(to_json(changed)).has_value();
  };
  EXPECT_TRUE(is([](Question& q) { q.target = "/" + std::string(longest_asked_target - 1, 'a'); }));
  EXPECT_FALSE(is([](Question& q) { q.target = "/" + std::string(longest_asked_target, 'a'); }));
  EXPECT_FALSE(is([](Question& q) { q.headers.assign(most_asked_headers + 1, "x"); }));
  EXPECT_FALSE(is([](Question& q) { q.headers = {std::string(65, 'x')}; }));
  EXPECT_FALSE(is([](Question& q) { q.headers = {"x\x1b[2J"}; }));
  EXPECT_FALSE(is([](Question& q) { q.host = "a\x7f"; }));
  EXPECT_FALSE(is([](Question& q) { q.host = "ex\xc3\xa4mple.com"; }));
  EXPECT_FALSE(is([](Question& q) { q.scheme = "tcp"; }));
  EXPECT_FALSE(is([](Question& q) { q.number = 0; }));
  EXPECT_FALSE(is([](Question& q) { q.port = 0; }));
  EXPECT_FALSE(is([](Question& q) { q.body = lane::BodyKind::none; }));  // with a length
}

TEST(Question, WordsAboutOne) {
  EXPECT_EQ(*question_word_from(question_word("ended", 3)), 3U);
  for (const json& wrong : {json{{"type", "ended"}}, json{{"type", "ended"}, {"number", -3}},
                            json{{"type", "ended"}, {"number", 3}, {"more", 1}}, json::array()}) {
    EXPECT_FALSE(question_word_from(wrong));
  }
}

}  // namespace
}  // namespace bulkhead
