// A request head against grants: what is allowed has one meaning, and what a denial offers is one line and one table.
// Input: METHOD, HOST, TARGET and headers `name: value`, a line each.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "expect.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/grant.h"
#include "gateway/grant/sigv4.h"
#include "gateway/grant/target.h"
#include "policy/load.h"

namespace {
const std::vector<bulkhead::TokenSlot> tokens{
    {"api", "bulkhead-token", bulkhead::Credential::Carrier::header, "x-api-key", ""},
    {"basic", "bulkhead-other", bulkhead::Credential::Carrier::basic, "", "me"},
    {"aws", "AKIABULKHEAD01234567", bulkhead::Credential::Carrier::sigv4, "", "", "a-signing-key", "eu-central-1",
     "s3"}};

std::vector<bulkhead::Grant> grants() {
  bulkhead::Grant a;
  a.id = "1";
  a.hosts = {"*.example.com"};
  a.credential = "api";
  a.allow = {{{"GET", "POST"}, "/v1/{id}/**", {"*"}, "", std::nullopt},
             {{"PUT"}, "/{package}", {"page"}, "application/json", 100}};
  bulkhead::Grant b = a;
  b.id = "2";
  b.hosts = {"a.example.com"};
  b.credential = "basic";
  b.allow = {{{"GET"}, "/*/x", {}, "", std::nullopt},
             {{"GET"}, "/m/{model}:run", {"k=v", "p=a/*", "o"}, "", std::nullopt}};
  bulkhead::Grant c = a;
  c.id = "3";
  c.hosts = {"s3.example.org"};
  c.credential = "aws";
  return {a, b, c};
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const std::vector<Grant> all = grants();
  const std::vector<std::string> lines = split(text, '\n');
  if (lines.size() < 3) return 0;
  grant::RequestHead head;
  head.method = lines[0];
  head.scheme = "https";
  head.host = lines[1];
  head.port = 443;
  head.target = lines[2];
  for (std::size_t i = 3; i < lines.size(); ++i) {
    const std::size_t colon = lines[i].find(": ");
    if (colon != std::string::npos)
      head.headers.emplace_back(lower_ascii(lines[i].substr(0, colon)), lines[i].substr(colon + 2));
  }
  const grant::Decision decision = grant::judge(all, tokens, head);
  if (decision.verdict != grant::Verdict::allow) {
    expect(!decision.reason.empty() && decision.text.find('\n') == std::string::npos && decision.status >= 400);
    expect(escape_for_terminal(decision.text, decision.text.size() + 1) == decision.text);
    if (decision.add.empty()) return 0;
    // What is offered loads, allows this request, and is no wildcard over everything.
    expect(decision.add.find("**") == std::string::npos && decision.add.find("\"*\"") == std::string::npos);
    const auto offered = load_document(
        "version = 1\n[credential.api]\nsource = \"env:A\"\ncarry = { header = \"x-api-key\" }\n"
        "[credential.basic]\nsource = \"env:B\"\ncarry = { basic = \"me\" }\n"
        "[credential.aws]\nsource = \"env:C\"\ncarry = { sigv4 = { region = \"eu-central-1\", service = \"s3\" } }\n" +
            decision.add,
        "add.toml", "user");
    expect(offered.has_value());
    expect(grant::judge(offered->grants, tokens, head).verdict == grant::Verdict::allow);
    return 0;
  }
  for (const char* never : {"//", "/../", "/./", "\\", "%00", "%5c", "%2e", "%2E", "#"}) {
    expect(head.target.substr(0, head.target.find('?')).find(never) == std::string::npos);
  }
  const auto target = grant::split_target(head.target);
  expect(target.has_value());
  for (const char* service : {"s3", "sqs"}) {
    (void)grant::sigv4::canonical_request({head.method, head.target, head.headers, "x"}, service);
  }
  std::string again;
  for (const std::string_view segment : target->segments) again += "/" + std::string(segment);
  expect(again == target->path);
  if (decision.rule->path == "/m/{model}:run") {
    expect(std::count(target->query_keys.begin(), target->query_keys.end(), "k") == 1);
    expect(std::count(target->query_keys.begin(), target->query_keys.end(), "p") == 1);
    expect(std::count(target->path.begin(), target->path.end(), ':') == 1 && target->path.ends_with(":run"));
  }
  const TokenSlot& slot = tokens[decision.grant->credential == "api" ? 0 : 1];
  for (const auto& [name, value] : grant::upstream_headers(head, &slot)) {
    expect(name != "host" && name != "connection" && name != "transfer-encoding");
    // Whatever spelling: nothing goes up that a server could read a key from.
    expect(!grant::carries_credential(name));
  }
  return 0;
}
