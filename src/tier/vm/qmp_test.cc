#include "tier/vm/qmp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"

namespace bulkhead::tier::vm {
namespace {

constexpr auto patience = std::chrono::milliseconds(200);
constexpr const char* greeting = "{\"QMP\": {\"version\": {}}}\r\n";
constexpr const char* done = "{\"return\": {}}\r\n";

// All of QEMU's words lie there before anything is asked.
struct Said {
  explicit Said(const std::string& text) : pair(*sys::socket_pair(SOCK_STREAM)) {
    EXPECT_EQ(::write(pair.second.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  sys::Pair pair;
};

TEST(Qmp, EventsComeBetweenAnswers) {
  Said said(std::string(greeting) + done + "{\"event\": \"A\", \"data\": {\"n\": 1}}\r\n" + done +
            "{\"event\": \"B\"}\r\n");
  auto qmp = Qmp::open(std::move(said.pair.first), patience);
  ASSERT_TRUE(qmp) << qmp.error().message;
  EXPECT_TRUE(qmp->run("stop"));
  EXPECT_TRUE(qmp->await(
      [](const std::string& event, const nlohmann::json& data) { return event == "A" && data.value("n", 0) == 1; }));
  EXPECT_TRUE(qmp->await([](const std::string& event, const nlohmann::json&) { return event == "B"; }));
  EXPECT_EQ(qmp->await([](const std::string&, const nlohmann::json&) { return true; }).error().code, ETIMEDOUT);
}

TEST(Qmp, WhatItRefusesIsSaid) {
  Said said(std::string(greeting) + done + "{\"error\": {\"class\": \"X\", \"desc\": \"no \\u001b such\"}}\n");
  auto qmp = Qmp::open(std::move(said.pair.first), patience);
  ASSERT_TRUE(qmp);
  EXPECT_EQ(qmp->run("getfd").error().message, "QEMU refuses getfd: no \\x1b such");
}

TEST(Qmp, NonsenseIsAnError) {
  for (const std::string& text : {std::string("hello\n"), std::string("{}\n"), std::string("[]\n"),
                                  std::string("{\"QMP\"\n"), std::string("\n"), std::string()}) {
    Said said(text);
    EXPECT_FALSE(Qmp::open(std::move(said.pair.first), patience)) << text;
  }
  Said gone(greeting);
  gone.pair.second.reset();
  EXPECT_FALSE(Qmp::open(std::move(gone.pair.first), patience));
  for (const char* answer : {"{\"error\": 7}\n", "{\"error\": {\"desc\": 7}}\n"}) {
    Said said(std::string(greeting) + answer);
    EXPECT_FALSE(Qmp::open(std::move(said.pair.first), patience)) << answer;
  }
}

}  // namespace
}  // namespace bulkhead::tier::vm
