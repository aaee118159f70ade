#include "evidence/event_text.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "evidence/evidence.h"

namespace bulkhead::evidence {
namespace {

std::string text_of(std::string_view text) {
  std::string out;
  append_text(out, text);
  return out;
}

// Whatever a string holds, it is what the JSON library would have written.
TEST(AppendText, EveryByteIsAsTheLibraryWritesIt) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const std::string& text :
         {std::string(1, static_cast<char>(byte)), "ab" + std::string(1, static_cast<char>(byte)) + "cd"}) {
      EXPECT_EQ(text_of(text), nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
          << byte;
    }
  }
  EXPECT_EQ(text_of(""), R"("")");
  EXPECT_EQ(text_of("é\xff"), "\"é\xEF\xBF\xBD\"");
  EXPECT_EQ(text_of("a\",\"type\":\"x"), R"("a\",\"type\":\"x")");
}

TEST(Fields, AreWhatWasSaid) {
  EXPECT_EQ(Fields().text(), "");
  const Fields fields = Fields()
                            .add("text", "a\nb")
                            .add("yes", true)
                            .add("no", false)
                            .add("most", std::numeric_limits<std::uint64_t>::max())
                            .add("least", std::numeric_limits<std::int64_t>::min())
                            .add("port", std::uint16_t{443})
                            .add("none", std::vector<std::string_view>{})
                            .add("some", std::vector<std::string_view>{"a", "\"", ""});
  EXPECT_EQ(fields.text(),
            R"("text":"a\nb","yes":true,"no":false,"most":18446744073709551615,"least":-9223372036854775808,)"
            R"("port":443,"none":[],"some":["a","\"",""])");
}

TEST(Event, IsSentAsTheOtherWayOfRecordingSendsIt) {
  auto pair = sys::socket_pair(SOCK_SEQPACKET);
  Recorder recorder(std::move(pair->first));
  const auto next = [&] { return nlohmann::json::parse(ipc::receive(pair->second.get())->text); };
  ASSERT_TRUE(recorder.record(Event("x.y")));
  EXPECT_EQ(next(), (nlohmann::json{{"type", "x.y"}}));
  ASSERT_TRUE(recorder.record(Event("x.y").add("a", "é\xff").add("b", 7)));
  EXPECT_EQ(next(), (nlohmann::json{{"type", "x.y"}, {"a", "é\xEF\xBF\xBD"}, {"b", 7}}));
  EXPECT_FALSE(recorder.record(Event("x.y").add("a", std::string(max_event, 'x'))));
}

}  // namespace
}  // namespace bulkhead::evidence
