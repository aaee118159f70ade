#include "session/ask.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/question.h"

namespace bulkhead::session {
namespace {

TEST(Ask, AFrontThatDoesNotHearIsNotWaitedFor) {
  auto pair = sys::socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  Answers answers(pair->first.get());
  const std::string large(100'000, ' ');
  // What it has no room for just now, behind a large update, comes later and in order.
  ASSERT_TRUE(ipc::send(pair->first.get(), std::string_view(large)));
  ASSERT_TRUE(answers.add(7));
  ASSERT_TRUE(answers.add(8));
  EXPECT_EQ(ipc::receive(pair->second.get())->text.size(), 100'000U);
  ASSERT_TRUE(answers.flush());
  for (const std::uint64_t number : {7, 8}) {
    EXPECT_EQ(ipc::receive(pair->second.get())->text, question_word("answered", number).dump());
  }
  std::uint64_t told = 0;
  while (told < 1'000'000 && answers.add(told + 1)) ++told;
  EXPECT_GT(told, 16U) << "as many as may be asked at once";
  EXPECT_LT(told, 1'000'000U);
  pair->second.reset();
  EXPECT_TRUE(answers.flush()) << "one that is gone is seen elsewhere";
}

}  // namespace
}  // namespace bulkhead::session
