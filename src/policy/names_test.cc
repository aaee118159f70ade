#include "policy/names.h"

#include <gtest/gtest.h>

#include <chrono>

#include "policy/units.h"

namespace bulkhead {
namespace {

using std::chrono::seconds;

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("20MB"), 20'000'000U);
  EXPECT_EQ(parse_size("512KB"), 512'000U);
  EXPECT_EQ(parse_size("4GB"), 4'000'000'000U);
  EXPECT_EQ(parse_size("4GiB"), 4ULL << 30);
  EXPECT_EQ(parse_size("1KiB"), 1024U);
  EXPECT_EQ(parse_size("7B"), 7U);
  EXPECT_EQ(parse_size("0B"), 0U);
  for (const char* bad : {"", "4", "MB", "4 MB", " 4MB", "4MB ", "+4MB", "-4MB", "1.5GB", "4G", "0x4MB", "1e3MB",
                          "99999999999999999999MB", "9223372036854775808B", "10000000TB", "4MBB"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
  EXPECT_NE(parse_size("4gb").error().message.find("write \"4GB\""), std::string::npos);
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("4h"), seconds(4 * 3600));
  EXPECT_EQ(parse_duration("90m"), seconds(5400));
  EXPECT_EQ(parse_duration("30s"), seconds(30));
  EXPECT_EQ(parse_duration("365d"), seconds(365 * 86400));
  for (const char* bad : {"", "4", "h", "0s", "366d", "1h30m", "4 h", "-4h", "99999999999999999999h"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(Units, WrittenReadsBackTheSame) {
  for (std::uint64_t value :
       {0ULL, 1ULL, 999ULL, 1000ULL, 1024ULL, 4'000'000'000ULL, 4ULL << 30, 1'000'001ULL, 9223372036854775807ULL}) {
    EXPECT_EQ(parse_size(size_text(value)), value) << size_text(value);
  }
  EXPECT_EQ(size_text(4'000'000'000ULL), "4GB");
  EXPECT_EQ(size_text(4ULL << 30), "4GiB");
  for (int value : {1, 59, 60, 90, 3600, 5400, 86400}) {
    EXPECT_EQ(parse_duration(duration_text(seconds(value))), seconds(value));
  }
}

TEST(Names, Hosts) {
  for (const char* good : {"example.com", "a.b-c.example.com", "localhost", "*.example.com", "xn--bcher-kva.example",
                           "10.0.0.5", "2001:db8::1", "::1", "1.example.com", "a1"}) {
    EXPECT_TRUE(check_host(good)) << good;
  }
  for (const char* bad : {"",
                          "*",
                          "*.com",
                          "*.",
                          "a.*.com",
                          "api.*",
                          "a*.example.com",
                          "*a.example.com",
                          "*.*.example.com",
                          "**.example.com",
                          "Example.com",
                          "example.com.",
                          ".example.com",
                          "a..b",
                          "-a.com",
                          "a-.com",
                          "a_b.com",
                          "https://example.com",
                          "example.com/x",
                          "example.com:443",
                          "[::1]",
                          "user@example.com",
                          "b\xc3\xbc.com",
                          "10.0.0.256",
                          "10.0.0",
                          "010.0.0.1",
                          "0x7f.1",
                          "2130706433",
                          "1.2.3.4.5",
                          "2001:DB8::1",
                          "0:0:0:0:0:0:0:1",
                          "::ffff:10.0.0.1",
                          "fe80::1%eth0",
                          "*.10.0.0.1",
                          "*.1.2",
                          "a b.com",
                          "example.com\n"}) {
    EXPECT_FALSE(check_host(bad)) << bad;
  }
  EXPECT_FALSE(check_host(std::string(64, 'a') + ".com"));
  std::string longest;
  for (int i = 0; i < 63; ++i) longest += "abc.";
  EXPECT_TRUE(check_host(longest + "c"));
  EXPECT_FALSE(check_host(longest + "com"));
}

TEST(Names, PathTemplates) {
  for (const char* good : {"/", "/v1/items/{id}", "/v1/*/x", "/simple/**", "/**", "/a/", "/a%2Fb", "/~me/a.b-c_d",
                           "/a:b@c", "/v1/x;y=1,2"}) {
    EXPECT_TRUE(check_path_template(good)) << good;
  }
  for (const char* bad :
       {"",    "v1",  "*",     "//",    "/a//b", "/./a",         "/a/..",  "/a/../b", "/a*",  "/{a",
        "/a}", "/{}", "/a{b}", "/**/a", "/***",  "/a?b=1",       "/a#b",   "/a b",    "/%2f", "/%41",
        "/%",  "/%2", "/%zz",  "/%00",  "/a\\b", "/caf\xc3\xa9", "/{a/b}", "/{*}",    "/%7E", "/a\x01"}) {
    EXPECT_FALSE(check_path_template(bad)) << bad;
  }
}

TEST(Names, Methods) {
  for (const char* good : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"}) {
    EXPECT_TRUE(check_method(good)) << good;
  }
  for (const char* bad : {"", "get", "Get", "*", "GETT", "CONNECT", "connect", "TRACE", "PRI", "GET ", "G\nET"}) {
    EXPECT_FALSE(check_method(bad)) << bad;
  }
  EXPECT_NE(check_method("get").error().message.find("\"GET\""), std::string::npos);
  EXPECT_NE(check_method("POTS").error().message.find("did you mean \"POST\""), std::string::npos);
  EXPECT_NE(check_method("CONNECT").error().message.find("tunnel"), std::string::npos);
}

TEST(Names, CarrierHeaders) {
  EXPECT_EQ(check_carrier_header("X-Api-Key"), "x-api-key");
  EXPECT_EQ(check_carrier_header("authorization"), "authorization");
  for (const char* bad : {"", "host", "Content-Length", "transfer-encoding", "connection", "cookie", "x y", "a:b",
                          "proxy-authorization", "X-Forwarded-For", "x\r\ny"}) {
    EXPECT_FALSE(check_carrier_header(bad)) << bad;
  }
}

TEST(Names, TheRest) {
  EXPECT_TRUE(check_variable("_A1"));
  for (const char* bad : {"", "1A", "A-B", "A=B", "A B", "*", "A\n"}) EXPECT_FALSE(check_variable(bad)) << bad;
  EXPECT_TRUE(check_name("npm-install"));
  for (const char* bad : {"", "-a", "../x", "a/b", "A", "a.b", "a_b", "a\n"}) EXPECT_FALSE(check_name(bad)) << bad;
  for (const char* good : {"/", "/a b", "~", "~/x", ".", "a", "../a"}) EXPECT_TRUE(check_path(good)) << good;
  for (const char* bad : {"", "~root", "~root/x", "/a\nb", "/a\x7f"}) EXPECT_FALSE(check_path(bad)) << bad;
  for (const char* good : {"a", "a/b.json", ".credentials.json"}) EXPECT_TRUE(check_inner_path(good)) << good;
  for (const char* bad : {"", "/a", "..", "a/../b", "a//b", "./a", "a/", "~/a"}) {
    EXPECT_FALSE(check_inner_path(bad)) << bad;
  }
  EXPECT_TRUE(check_media_type("application/json"));
  for (const char* bad :
       {"", "json", "*/*", "text/*", "Text/plain", "text/plain; charset=utf-8", "a/", "/b", "a/b/c"}) {
    EXPECT_FALSE(check_media_type(bad)) << bad;
  }
  for (const char* good : {"beta", "*", "a[]", "filter.x"}) EXPECT_TRUE(check_query_key(good)) << good;
  for (const char* bad : {"", "a=b", "a&b", "a b", "a*", "%41", "a\n"}) EXPECT_FALSE(check_query_key(bad)) << bad;
  for (const char* good : {"9.9.9.9", "9.9.9.9:53", "2620:fe::fe", "[2620:fe::fe]:5353"}) {
    EXPECT_TRUE(check_dns_server(good)) << good;
  }
  for (const char* bad : {"", "dns.example.com", "9.9.9.9:", "9.9.9.9:0", "9.9.9.9:65536", "9.9.9.9:53x", "[::1]",
                          "[9.9.9.9]:53", "[::1]53", "999.1.1.1"}) {
    EXPECT_FALSE(check_dns_server(bad)) << bad;
  }
}

}  // namespace
}  // namespace bulkhead
