#include "evidence/event_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "evidence/limits.h"

namespace bulkhead::evidence {
namespace {

struct Seen {
  std::string type, fields, why;
  bool sync = false;
};
Seen read(std::string_view text) {
  EventReader reader;
  Seen seen;
  if (const auto event = reader.read(text, seen.sync)) {
    seen.type = event->type;
    seen.fields = event->fields;
  } else {
    seen.why = event.error().message;
  }
  return seen;
}

TEST(EventReader, WritesAnewWhatItUnderstood) {
  const Seen seen = read(
      "\n { \"a\" : [ 1 , -2,\t1.50, true,false , null, [ ], { } ], \"type\":\"x\\u002ey\" , \"sync\" : true,"
      "\r\n \"\\u0062\": { \"c\" : \"\\/\\n\\u001b\\u00e9\" , \"d\": 1e2 } } \n");
  EXPECT_EQ(seen.why, "");
  EXPECT_EQ(seen.type, "x.y");
  EXPECT_TRUE(seen.sync);
  EXPECT_EQ(seen.fields, R"("a":[1,-2,1.5,true,false,null,[],{}],"b":{"c":"/\n\u001bé","d":100.0})");
  EXPECT_EQ(read(R"({"type":"x"})").fields, "");
}

// What it writes is what the library makes of it, as a line on its own.
TEST(EventReader, IsWhatTheLibraryWouldWrite) {
  for (const char* fields :
       {R"("a":1)", R"("a":18446744073709551615,"b":-9223372036854775808,"c":0.1,"d":-0.0,"e":1e-7)",
        R"("z":"€","a":{"z":[[],[[]],{}],"a":{"a":"a"}},"":"")", R"("x":"\ud83d\ude00\u0000\u007f\\\"")"}) {
    const Seen seen = read("{\"type\":\"x\"," + std::string(fields) + "}");
    EXPECT_EQ("{" + seen.fields + "}", nlohmann::ordered_json::parse("{" + std::string(fields) + "}").dump())
        << seen.why;
  }
}

TEST(EventReader, NothingIsKeptFromTheEventBefore) {
  EventReader reader;
  bool sync = false;
  ASSERT_TRUE(reader.read(R"({"type":"long.enough","sync":true,"a":[{"b":1}]})", sync));
  EXPECT_TRUE(sync);
  EXPECT_FALSE(reader.read(R"({"a":[{"b":)", sync));
  EXPECT_FALSE(sync);
  EXPECT_FALSE(reader.read("{}", sync)) << "no type";
  const auto event = reader.read(R"({"type":"x","a":1})", sync);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, "x");
  EXPECT_EQ(event->fields, R"("a":1)");
}

TEST(EventReader, RefusesWhatIsNoEvent) {
  for (const char* text : {"",
                           "[]",
                           "1",
                           "null",
                           "\"type\"",
                           "x",
                           "{}",
                           R"({"type":7})",
                           R"({"type":null})",
                           R"({"type":{"type":"x"}})",
                           R"({"type":["x"]})",
                           R"({"type":""})",
                           R"({"type":"Bad Type"})",
                           R"({"type":"x\n"})",
                           R"({"a":1})",
                           R"({"type":"x","sync":1})",
                           R"({"type":"x","sync":"true"})",
                           R"({"type":"x","sync":{}})",
                           R"({"type":"x"}{})",
                           R"({"type":"x"},)",
                           R"({"type":"x",})",
                           R"({"type":"x","a":NaN})",
                           R"({"type":"x","a":1e999})",
                           R"({"type":"x","a":01})",
                           R"({"type":"x","a":"\ud800"})",
                           "{\"type\":\"x\",\"a\":\"\xff\"}",
                           "{\"type\":\"x\",\"a\":\"\n\"}",
                           R"({"type":"x","a":'b'})",
                           R"({"type":"x",/**/"a":1})",
                           R"({"type":"x","a":1)"}) {
    EXPECT_NE(read(text).why, "") << text;
  }
}

TEST(EventReader, RefusesTheWritersOwnFields) {
  for (const char* key : {"v", "seq", "time", "session", "source"}) {
    EXPECT_EQ(read("{\"type\":\"x\",\"" + std::string(key) + "\":1}").why, "reserved key \"" + std::string(key) + "\"");
    EXPECT_EQ(read("{\"type\":\"x\",\"a\":{\"" + std::string(key) + "\":1}}").why, "")
        << "further in they mean nothing";
  }
  EXPECT_NE(read(R"({"type":"x","\u0073eq":1})").why, "") << "the key is what it spells";
}

TEST(EventReader, RefusesAKeyThatIsThereTwice) {
  for (const char* text :
       {R"({"type":"x","a":1,"a":2})", R"({"type":"x","a":1,"b":2,"\u0061":3})", R"({"type":"x","type":"y"})",
        R"({"type":"x","sync":true,"sync":false})", R"({"type":"x","a":[{"b":1,"c":1,"b":1}]})"}) {
    EXPECT_EQ(read(text).why, "a key that is there twice") << text;
  }
  EXPECT_EQ(read(R"({"type":"x","a":{"a":{"a":1,"b":1},"b":1},"b":{"a":1}})").why, "");
}

TEST(EventReader, SaysOfARefusedOneWhetherItWantsAnAnswer) {
  EXPECT_TRUE(read(R"({"type":"x","seq":1,"sync":true})").sync);
  EXPECT_TRUE(read(R"({"type":7,"sync":true})").sync);
  EXPECT_FALSE(read(R"({"type":"x","seq":1})").sync);
}

TEST(EventReader, RefusesDepthWithoutGoingThere) {
  const auto nested = [](std::size_t levels) {  // the event itself is one
    return "{\"type\":\"x\",\"a\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  EXPECT_EQ(read(nested(max_depth)).why, "");
  EXPECT_EQ(read(nested(max_depth + 1)).why, "nested too deeply");
  EXPECT_EQ(read("{\"type\":\"x\",\"a\":" + std::string(max_event, '[')).why, "nested too deeply");
  std::string objects;
  for (int i = 0; i < 5000; ++i) objects += "{\"a\":";
  EXPECT_EQ(read(objects).why, "nested too deeply");
}

}  // namespace
}  // namespace bulkhead::evidence
