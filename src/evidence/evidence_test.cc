#include "evidence/evidence.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/ipc.h"
#include "base/sys.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {
namespace {

struct Ends {
  Recorder recorder;
  UniqueFd peer;
};
Ends ends() {
  auto pair = sys::socket_pair(SOCK_SEQPACKET);
  return {Recorder(std::move(pair->first)), std::move(pair->second)};
}
nlohmann::json next(const UniqueFd& peer) {
  return *ipc::parse(ipc::receive(peer.get())->text);
}

TEST(Recorder, SendsTheEventAsItIs) {
  Ends e = ends();
  ASSERT_TRUE(e.recorder.record("x.y", {{"a", 1}}));
  EXPECT_EQ(next(e.peer), (nlohmann::json{{"a", 1}, {"type", "x.y"}}));
  ASSERT_TRUE(e.recorder.record("x.y", nullptr));
  EXPECT_EQ(next(e.peer), (nlohmann::json{{"type", "x.y"}}));
}

TEST(Recorder, RefusesReservedKeysAndWhatIsNoEvent) {
  Ends e = ends();
  for (const auto key : reserved_keys) EXPECT_FALSE(e.recorder.record("x", {{std::string(key), 1}})) << key;
  EXPECT_FALSE(e.recorder.record("x", nlohmann::json::array({1})));
  EXPECT_FALSE(e.recorder.record("x", {{"text", std::string(max_event, 'x')}}));
}

TEST(Recorder, ReplacesInvalidUtf8) {
  Ends e = ends();
  ASSERT_TRUE(e.recorder.record("x", {{"name", "a\xff z"}}));
  EXPECT_EQ(next(e.peer)["name"], "a\xEF\xBF\xBD z");
}

TEST(Recorder, WaitsForTheAnswerAndBelievesOnlyTrue) {
  const auto answered = [](const std::string& answer) {
    Ends e = ends();
    EXPECT_TRUE(e.recorder.begin_sync("x", {}));
    EXPECT_EQ(next(e.peer)["sync"], true);
    EXPECT_TRUE(ipc::send(e.peer.get(), std::string_view(answer)));
    return e.recorder.finish_sync();
  };
  EXPECT_TRUE(answered(R"({"ok":true,"seq":4})"));
  for (const char* no : {R"({"ok":false,"error":"disk"})", R"({"ok":"true"})", R"({"ok":1})", "{}", "[]", "x"}) {
    EXPECT_FALSE(answered(no)) << no;
  }
}

TEST(Recorder, AWriterThatIsGoneIsAnError) {
  Ends e = ends();
  ASSERT_TRUE(e.recorder.begin_sync("x", {}));
  e.peer.reset();
  EXPECT_FALSE(e.recorder.finish_sync());
  EXPECT_FALSE(e.recorder.record("x", {}));
}

TEST(Recorder, WaitsOnANonBlockingSocketInsteadOfLosingEvents) {
  Ends e = ends();
  ASSERT_TRUE(sys::set_nonblocking(e.recorder.socket(), true));
  constexpr int count = 500;  // far more than a socket buffer of datagrams this big holds
  int received = 0;
  std::thread reader([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    while (received < count && !ipc::receive(e.peer.get())->closed) ++received;
  });
  for (int i = 0; i < count; ++i) ASSERT_TRUE(e.recorder.record("x", {{"text", std::string(20000, 'x')}}));
  reader.join();
  EXPECT_EQ(received, count);
}

}  // namespace
}  // namespace bulkhead::evidence
