#include "trace/decode.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "trace/events.h"
#include "trace/lineage.h"
#include "trace/pace.h"
#include "trace/test_help.h"

namespace bulkhead::trace {
namespace {

template <class What>
What only(const std::string& datagram) {
  const auto told = decode(datagram);
  EXPECT_TRUE(told) << told.error().message;
  if (!told || !told->what) return {};
  EXPECT_TRUE(std::holds_alternative<What>(*told->what));
  return std::get<What>(*told->what);
}

bool nothing(const std::string& datagram) {
  const auto told = decode(datagram);
  return told && !told->what;
}

TEST(Decode, WhatGvisorSays) {
  EXPECT_EQ(only<Began>(clone_of(3, 4)).pid, 4);
  EXPECT_TRUE(nothing(clone_of(3, 5, 3))) << "a thread";
  const auto executed = only<Executed>(exec_of(4, "/usr/bin/echo", {"echo", "a\xff"}));
  EXPECT_EQ(executed.path, "/usr/bin/echo");
  EXPECT_EQ(executed.arguments, (std::vector<std::string>{"echo", "a\xff"}));
  EXPECT_FALSE(executed.cut);
  EXPECT_EQ(only<Runs>(call_of(4, SYS_execve)).by.pid, 4);
  EXPECT_TRUE(nothing(call_of(4, SYS_execve, ENOENT)));
  EXPECT_TRUE(nothing(call_of(4, SYS_read)));
  EXPECT_TRUE(nothing(with_header(6, by<points::Call>(4).SerializeAsString()))) << "it begins";
  EXPECT_EQ(only<Ended>(exit_of(4, 768)).status, 768);
  EXPECT_EQ(decode(with_header(4, by<points::Exit>(4).SerializeAsString(), 77))->unsent, 77U);
}

TEST(Decode, FilesThatAreWritten) {
  EXPECT_TRUE(nothing(open_of(4, "/etc/passwd", O_RDONLY | O_CLOEXEC)));
  EXPECT_TRUE(nothing(open_of(4, "/etc/passwd", O_PATH | O_WRONLY)));
  for (const int flags : {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND | O_WRONLY}) {
    EXPECT_EQ(only<Opened>(open_of(4, "/x", static_cast<std::uint32_t>(flags))).path, "/x") << flags;
  }
  EXPECT_EQ(only<Opened>(open_of(4, "x", O_WRONLY, "", "/work")).path, "/work/x");
  EXPECT_EQ(only<Opened>(open_of(4, "x", O_WRONLY, "/", "/work")).path, "/x");
  EXPECT_EQ(only<Opened>(open_of(4, "../x", O_WRONLY, "/tmp", "/work")).path, "/tmp/../x");
}

std::string address(const void* bytes, std::size_t size) {
  return {static_cast<const char*>(bytes), size};
}

TEST(Decode, Connections) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(80);
  in.sin_addr.s_addr = htonl(0x01020304);
  auto connected = only<Connected>(connect_of(4, address(&in, sizeof in)));
  EXPECT_EQ(connected.family + " " + connected.address + " " + std::to_string(connected.port), "inet 1.2.3.4 80");
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_addr = in6addr_loopback;
  connected = only<Connected>(connect_of(4, address(&in6, sizeof in6)));
  EXPECT_EQ(connected.family + " " + connected.address, "inet6 ::1");
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::snprintf(un.sun_path, sizeof un.sun_path, "/run/x");
  EXPECT_EQ(only<Connected>(connect_of(4, address(&un, sizeof un))).address, "/run/x");
  std::string abstract = address(&un, 2) + std::string("\0name", 5);
  EXPECT_EQ(only<Connected>(connect_of(4, abstract)).address, "@name");
  // What the call itself refuses, at every length.
  for (const void* one :
       {static_cast<const void*>(&in), static_cast<const void*>(&in6), static_cast<const void*>(&un)}) {
    for (std::size_t size = 0; size <= sizeof in; ++size) EXPECT_TRUE(decode(connect_of(4, address(one, size))));
  }
}

TEST(Decode, NonsenseIsAnError) {
  for (const std::string& bad :
       {std::string(), std::string(7, '\0'), with_header(2, "\xff\xff"), with_header(0, ""), with_header(1, ""),
        with_header(5, ""), with_header(9999, ""), clone_of(0, 4), clone_of(3, -4), clone_of(3, max_pid + 1),
        exec_of(-1, "/x", {}), exit_of(4, -1), exit_of(4, 1 << 20), call_of(4, SYS_execve, 5000),
        call_of(4, SYS_execve, -2), with_header(3, ""), with_header(7, std::string(300'000, 'x'))}) {
    EXPECT_FALSE(decode(bad)) << bad.size();
  }
  std::string short_header = clone_of(3, 4), long_header = short_header;
  short_header[0] = 7;
  long_header[1] = 1;
  EXPECT_FALSE(decode(short_header));
  EXPECT_FALSE(decode(long_header));
  // A header that grew is one that is skipped.
  std::string grown = clone_of(3, 4);
  grown.insert(8, "more");
  grown[0] = 12;
  EXPECT_EQ(only<Began>(grown).pid, 4);
}

TEST(Decode, LongThingsAreCut) {
  const std::vector<std::string> many(1000, std::string(10, 'a'));
  auto executed = only<Executed>(exec_of(4, std::string(5000, '/'), many));
  EXPECT_EQ(executed.path.size(), max_path);
  EXPECT_EQ(executed.arguments.size(), max_arguments);
  EXPECT_TRUE(executed.cut);
  executed = only<Executed>(exec_of(4, "/x", {std::string(100'000, '\x01'), std::string(100'000, '\x01'), "", "x"}));
  EXPECT_TRUE(executed.cut);
  Executed worst =
      only<Executed>(exec_of(4, std::string(5000, '\x01'), std::vector<std::string>(64, std::string(2000, '\x01'))));
  Process process{1, std::string(255, '\x01'), false};
  EXPECT_LT(event_of(worst, process, "gvisor").fields().size(), evidence::max_event - 100);
  const std::string path(9000, '\x01');
  const Opened opened = only<Opened>(open_of(4, path, O_WRONLY, path));
  EXPECT_TRUE(opened.cut);
  EXPECT_LT(event_of(opened, process, "gvisor").fields().size(), evidence::max_event - 100);
}

TEST(Decode, TheEnvironmentIsNotRead) {
  std::string body = by<points::Exec>(4).SerializeAsString();
  body += std::string("\x22\x0a") + "SECRET=abc";  // field 4: gVisor's `env`
  const auto executed = only<Executed>(with_header(3, body));
  const evidence::Event event = event_of(executed, {}, "gvisor");
  EXPECT_EQ(event.fields().find("SECRET"), std::string_view::npos);
}

TEST(Decode, Greetings) {
  EXPECT_TRUE(check_greeting("\x08\x01"));
  EXPECT_TRUE(check_greeting("\x08\x07")) << "a newer one says what this understands";
  EXPECT_FALSE(check_greeting(""));
  EXPECT_FALSE(check_greeting("GET / HTTP/1.1"));
  EXPECT_EQ(greeting(), "\x08\x01");
}

TEST(LineageTest, WhoMadeWhom) {
  Lineage lineage;
  lineage.began({{1, 1}, 2});
  lineage.executed({{2, 2}, "/usr/bin/make", {}, false});
  EXPECT_TRUE(lineage.runs({{2, 2}}));
  EXPECT_EQ(lineage.of(2).parent, 1);
  EXPECT_EQ(lineage.of(2).name, "make");
  lineage.began({{2, 2}, 3});
  EXPECT_EQ(lineage.of(3).name, "make") << "until it executes something";
  EXPECT_FALSE(lineage.runs({{3, 3}})) << "nobody said what";
  EXPECT_EQ(lineage.of(3).name, "") << "so it is not known any more";
  lineage.ended(3);
  EXPECT_EQ(lineage.of(3).parent, 0);
  for (int pid = 10; pid < 1'000'000; ++pid) lineage.began({{1, 1}, pid});
  EXPECT_LE(lineage.size(), Lineage::most);
}

TEST(PaceTest, EachKindHasItsOwn) {
  const Pace::Clock::time_point start{};
  Pace pace({3, 1, 1000, 10}, start);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pace.allows(Kind::started, 10, start));
  EXPECT_FALSE(pace.allows(Kind::started, 10, start));
  EXPECT_TRUE(pace.allows(Kind::executed, 10, start)) << "it is not hidden by what there is too much of";
  EXPECT_FALSE(pace.allows(Kind::executed, 1000, start));
  EXPECT_TRUE(pace.allows(Kind::started, 10, start + std::chrono::seconds(1)));
  pace.unsent(5);
  pace.unsent(4);  // overtaken
  const auto omitted = pace.take();
  EXPECT_EQ(omitted.of[0], 1U);
  EXPECT_EQ(omitted.of[1], 1U);
  EXPECT_EQ(omitted.unsent, 5U);
  EXPECT_FALSE(pace.omitted().any());
  pace.unsent(6);
  EXPECT_EQ(pace.take().unsent, 1U);
}

}  // namespace
}  // namespace bulkhead::trace
