// What the tests of this folder share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "policy/layers.h"
#include "policy/profile.h"

namespace bulkhead::advice::testing_help {

inline const std::string source_dir = BULKHEAD_SOURCE_DIR;
inline const Place place{"/home/me/project", "/home/me"};

// `body` behind the version line, so that it starts on line 2; presets expanded, layers merged.
inline Policy policy_of(std::string_view body, const std::string& file = "p.toml") {
  auto document = load_document("version = 1\n" + std::string(body), file, "user");
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  if (!document) return {};
  auto expanded = expand_presets(source_dir, *document);
  EXPECT_TRUE(expanded) << (expanded ? "" : expanded.error().message);
  auto policy = merge_layers({*document}, place);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return policy ? *policy : Policy{};
}

inline Policy profile_policy(const std::string& name) {
  auto document = load_profile(source_dir, name);
  EXPECT_TRUE(document && expand_presets(source_dir, *document));
  auto policy = merge_layers({*document}, place);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return policy ? *policy : Policy{};
}

// A line of evidence from front; `fields` behind the head.
inline std::string line_of(const std::string& type, const std::string& fields, const std::string& source = "front") {
  return R"({"v":1,"seq":1,"time":"2026-01-02T03:04:05.678901Z","session":"aaaaaaaaaaaa","source":")" + source +
         R"(","type":")" + type + "\"" + (fields.empty() ? "" : ",") + fields + "}";
}

// An http.request as front records it.
struct Asked {
  std::string method = "GET", host = "api.example.com", path = "/";
  bool allowed = false;
  std::string rule = "no-grant", grant = {}, more = {};
  int status = 403;
  std::uint64_t up = 0;
  std::string scheme = "https";
};
inline std::string request_line(const Asked& asked) {
  return line_of("http.request", R"("method":")" + asked.method + R"(","scheme":")" + asked.scheme + R"(","host":")" +
                                     asked.host + R"(","port":443,"path":")" + asked.path + R"(","decision":")" +
                                     (asked.allowed ? "allow" : "deny") + R"(","rule":")" +
                                     (asked.allowed ? "" : asked.rule) + R"(","status":)" +
                                     std::to_string(asked.allowed ? 200 : asked.status) + R"(,"bytes_up":)" +
                                     std::to_string(asked.up) + R"(,"bytes_down":10,"ms":1)" +
                                     (asked.grant.empty() ? "" : R"(,"grant":")" + asked.grant + "\"") +
                                     (asked.more.empty() ? "" : "," + asked.more));
}

}  // namespace bulkhead::advice::testing_help
