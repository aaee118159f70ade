// The real bulkhead-front, confined: a call its seccomp list lacks would kill it here.
#include <gtest/gtest.h>

#include "base/sys.h"
#include "base/text.h"
#include "gateway/front/harness_test.h"

namespace bulkhead::front {
namespace {

TEST(FrontProgram, ServesConfined) {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
  Gateway gateway(Run::program, {});
  EXPECT_GT(gateway.ca_java.size(), 100U);

  const auto status = sys::read_file("/proc/" + std::to_string(gateway.pid()) + "/status", 64 * 1024);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_NE(status->find("Seccomp:\t2"), std::string::npos) << *status;
  EXPECT_NE(status->find("Threads:\t1\n"), std::string::npos) << *status;

  ASSERT_FALSE(ask_dns(dns_query(1, "api.example.com"), "8.8.8.8").empty());
  Client dns(53);
  const std::string query = dns_query(2, "api.example.com");
  ASSERT_TRUE(dns.send(std::string{'\0', static_cast<char>(query.size())} + query));
  EXPECT_FALSE(dns.raw().empty());

  const std::string bytes = pattern(big);
  Client client(443);
  ASSERT_TRUE(client.secure(gateway, "api.example.com"));
  EXPECT_EQ(client.ask(get("api.example.com", "/hello"))->body, "hello");
  EXPECT_TRUE(client.ask(post("api.example.com", "/echo", bytes))->body == bytes);
  EXPECT_TRUE(client.ask(get("api.example.com", "/big"))->body == bytes);
  EXPECT_EQ(client.ask(get("other.example.com", "/"))->status, 421);

  Client denied(80);
  EXPECT_EQ(denied.ask(get("other.example.com", "/"))->status, 403);
  EXPECT_FALSE(gateway.denial().is_null());
  EXPECT_TRUE(Client(22).raw().starts_with("SSH-2.0-"));
  Client refused(443);
  ASSERT_TRUE(refused.send("\x16\x03\x01" + std::string(200, 'x')));
  while (!refused.raw().empty()) continue;
  EXPECT_FALSE(gateway.event("SSH").is_null());
  gateway.leave_supervisor();
  const auto ended = gateway.ended();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->shell(), 0) << gateway.errors();
}

}  // namespace
}  // namespace bulkhead::front
