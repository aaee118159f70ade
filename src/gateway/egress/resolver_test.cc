#include "gateway/egress/resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "gateway/egress/dns_server_for_test.h"

namespace bulkhead::egress {
namespace {

using Addresses = std::vector<std::string>;

struct Fixture : testing::Test {
  boost::asio::io_context io;
  TestDns dns{io};
  std::unique_ptr<Resolver> resolver = *Resolver::create(io, {dns.address()}, std::chrono::milliseconds(900));

  Result<Addresses> resolve(const std::string& host) {
    Result<Addresses> out = fail("not run");
    bool done = false;
    boost::asio::co_spawn(io, resolver->resolve(host), [&](const std::exception_ptr&, auto result) {
      done = true;
      if (!result) {
        out = tl::unexpected(result.error());
        return;
      }
      Addresses list;
      for (const auto& address : *result) list.push_back(address.to_string());
      out = list;
    });
    while (!done) io.run_one();
    return out;
  }
};

TEST_F(Fixture, BothFamiliesIpv4First) {
  dns.records["api.example.com. A"] = {"203.0.113.7", "203.0.113.8"};
  dns.records["api.example.com. AAAA"] = {"2001:db8::7"};
  EXPECT_EQ(resolve("api.example.com"), (Addresses{"203.0.113.7", "203.0.113.8", "2001:db8::7"}));
  EXPECT_EQ(dns.asked.size(), 2U);  // exactly this name, no search list
  dns.records["six.example.com. AAAA"] = {"2001:db8::9"};
  EXPECT_EQ(resolve("six.example.com"), (Addresses{"2001:db8::9"}));
}

TEST_F(Fixture, NothingIsCached) {
  dns.records["re.example.com. A"] = {"203.0.113.7"};
  EXPECT_EQ(resolve("re.example.com"), (Addresses{"203.0.113.7"}));
  dns.records["re.example.com. A"] = {"10.0.0.1"};
  EXPECT_EQ(resolve("re.example.com"), (Addresses{"10.0.0.1"}));
}

TEST_F(Fixture, SaysWhyThereIsNoAddress) {
  const auto unknown = resolve("unknown.example.com");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "resolve \"unknown.example.com\": no such name");
  dns.records["empty.example.com. A"] = {};
  EXPECT_EQ(resolve("empty.example.com").error().message, "resolve \"empty.example.com\": the name has no address");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(resolve("silent.example.com").error().code, ETIMEDOUT);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1500));
}

TEST_F(Fixture, AFamilyThatNeverAnswersCostsAMoment) {
  dns.silent_aaaa = true;
  dns.records["slow.example.com. A"] = {"203.0.113.7"};
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(resolve("slow.example.com"), (Addresses{"203.0.113.7"}));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(600));
}

TEST(Resolver, ServersAreCheckedAtStart) {
  boost::asio::io_context io;
  const auto create = [&](const std::string& server) {
    return Resolver::create(io, {server}, std::chrono::seconds(1)).has_value();
  };
  for (const char* good : {"127.0.0.53", "127.0.0.53:5353", "::1", "[::1]", "[::1]:5353", "2001:db8::1"}) {
    EXPECT_TRUE(create(good)) << good;
  }
  for (const char* bad : {"", "dns.example.com", "127.0.0.53:", "127.0.0.53:0", "127.0.0.53:70000", "127.0.0.53:5x"}) {
    EXPECT_FALSE(create(bad)) << bad;
  }
  EXPECT_FALSE(Resolver::create(io, {}, std::chrono::seconds(1)));
}

}  // namespace
}  // namespace bulkhead::egress
