#include "guest/protocol.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace bulkhead::shim {
namespace {

Setup example() {
  Setup s;
  s.arguments = {"sh", "-c", "echo \xff hi", ""};
  s.environment = {"PATH=/usr/bin", "EMPTY="};
  s.directory = "/work";
  s.pty[0] = s.pty[2] = true;
  s.window = {50, 132, 1056, 800};
  s.limits = {{RLIMIT_NOFILE, 1024, 4096}, {RLIMIT_DATA, ~0ULL, ~0ULL}};
  s.scope = false;
  s.rules = {{"/usr", Access::run}, {"/work", Access::full}};
  s.mask = 077;
  s.uid = 1000;
  s.gid = 4294967294U;
  s.own_pid_namespace = false;
  s.own_kernel = s.plain_pty = true;
  s.set_group = false;
  s.folders = {"/run/user/1000"};
  s.links = {{"/var/run", "/run"}, {"/var/tmp", ""}};
  return s;
}

Result<Setup> read_back(const std::vector<std::string>& datagrams) {
  SetupReader reader;
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    BH_TRY(const bool last, reader.add(datagrams[i]));
    if (last != (i + 1 == datagrams.size())) return fail("ended early or late");
  }
  return reader.finish();
}

TEST(ShimProtocol, SetupComesBackAsItWas) {
  const auto datagrams = encode(example());
  ASSERT_TRUE(datagrams);
  EXPECT_EQ(datagrams->size(), 1U);
  const auto back = read_back(*datagrams);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, example());
}

TEST(ShimProtocol, LargeEnvironmentTakesSeveralDatagrams) {
  shim::Setup s = example();
  for (int i = 0; i < 10; ++i) s.environment.push_back("V" + std::to_string(i) + "=" + std::string(100'000, 'x'));
  const auto datagrams = encode(s);
  ASSERT_TRUE(datagrams);
  EXPECT_GT(datagrams->size(), 6U);
  for (const std::string& d : *datagrams) EXPECT_LE(d.size(), max_datagram);
  const auto back = read_back(*datagrams);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, s);
  s.environment.push_back("BIG=" + std::string(max_setup, 'x'));
  EXPECT_FALSE(encode(s));
}

TEST(ShimProtocol, ASessionThatLivesHasNoCommand) {
  shim::Setup s = example();
  s.hold = true;
  EXPECT_FALSE(encode(s));
  s.arguments.clear();
  const auto back = read_back(*encode(s));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, s);
}

TEST(ShimProtocol, RefusesWhatCannotBePassedOn) {
  shim::Setup s = example();
  s.arguments.clear();
  EXPECT_FALSE(encode(s));
  s = example();
  s.arguments[1].push_back('\0');
  EXPECT_FALSE(encode(s));
  s = example();
  s.rules[0].path.push_back('\0');
  EXPECT_FALSE(encode(s));
  s = example();
  s.links[1].to.push_back('\0');
  EXPECT_FALSE(encode(s));
  s = example();
  s.folders[0].push_back('\0');
  EXPECT_FALSE(encode(s));
}

// Every cut and every single changed length byte is either refused or still a Setup; never a crash.
TEST(ShimProtocol, DamagedSetupsAreRefused) {
  const std::string whole = encode(example())->front();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    SetupReader reader;
    const auto last = reader.add(std::string_view(whole).substr(0, n));
    EXPECT_FALSE(last && *last && reader.finish()) << n;
  }
  SetupReader trailing;
  ASSERT_TRUE(trailing.add(whole + "x"));
  EXPECT_FALSE(trailing.finish());
  for (std::size_t i = 1; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(0xff);
    SetupReader reader;
    if (reader.add(damaged)) (void)reader.finish();
  }
}

TEST(ShimProtocol, SmallMessages) {
  for (const ToShim& m :
       {ToShim(Go{}), ToShim(Signal{15, true}), ToShim(Signal{64, false}), ToShim(Continue{}), ToShim(Finish{}),
        ToShim(Window{{50, 132, 1056, 65535}}), ToShim(shim::Run{{true, false, true}})}) {
    const auto back = decode_to_shim(encode(m));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, m);
    EXPECT_FALSE(decode_to_shim(encode(m) + "x"));
  }
  for (const ToSupervisor& m :
       {ToSupervisor(Ready{true}), ToSupervisor(Ready{false}), ToSupervisor(Started{2, 7}), ToSupervisor(Stopped{20}),
        ToSupervisor(Continued{}), ToSupervisor(Exited{3, 0}), ToSupervisor(Exited{0, 9}), ToSupervisor(Empty{77}),
        ToSupervisor(Holding{{1, 1ULL << 40}}), ToSupervisor(Failed{127, "x: not found"})}) {
    const auto back = decode_to_supervisor(encode(m));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, m);
    EXPECT_FALSE(decode_to_supervisor(encode(m) + "x"));
    EXPECT_FALSE(decode_to_supervisor(std::string_view(encode(m)).substr(0, encode(m).size() - 1)));
  }
  EXPECT_FALSE(decode_to_shim(""));
  EXPECT_FALSE(decode_to_shim("z"));
  EXPECT_FALSE(decode_to_shim(encode(ToShim(Signal{65, false}))));
  EXPECT_FALSE(decode_to_shim(encode(ToShim(Signal{0, false}))));
  EXPECT_FALSE(decode_to_supervisor(encode(ToSupervisor(Exited{256, 0}))));
  EXPECT_FALSE(decode_to_supervisor(encode(ToSupervisor(Failed{0, "never"}))));
  EXPECT_EQ((Exited{0, 9}).shell(), 137);
}

}  // namespace
}  // namespace bulkhead::shim
