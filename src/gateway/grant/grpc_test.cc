// ATTACKS F05: gRPC by method. A grant opens exactly the methods it names, over HTTP/2 and as gRPC.
#include <gtest/gtest.h>

#include "gateway/grant/grant.h"
#include "policy/load.h"

namespace bulkhead::grant {
namespace {

Grant calls() {
  Grant grant;
  grant.id = "1";
  grant.hosts = {"rpc.example.com"};
  grant.protocol = Protocol::grpc;
  Rule one, all;
  one.methods = all.methods = {"POST"};
  one.path = "/pkg.v1.Svc/Get";
  one.max_body = 1000;
  all.path = "/pkg.v1.Other/*";
  grant.allow = {one, all};
  return grant;
}

RequestHead call(const std::string& path, const lane::Headers& headers = {{"content-type", "application/grpc"}}) {
  return {.method = "POST",
          .scheme = "https",
          .host = "rpc.example.com",
          .port = 443,
          .target = path,
          .headers = headers,
          .body = lane::BodyKind::streamed,
          .http2 = true};
}

TEST(Grpc, MethodsByName) {
  const std::vector<Grant> grants{calls()};
  const auto reason = [&](const RequestHead& head) { return judge(grants, {}, head).reason; };
  for (const char* path : {"/pkg.v1.Svc/Get", "/pkg.v1.Other/Anything"}) EXPECT_EQ(reason(call(path)), "") << path;
  for (const char* type : {"application/grpc+proto", "application/grpc+json", "application/grpc;x=y"}) {
    EXPECT_EQ(reason(call("/pkg.v1.Svc/Get", {{"content-type", type}, {"te", "trailers"}, {"grpc-encoding", "gzip"}})),
              "")
        << type;
  }
  for (const char* path :
       {"/pkg.v1.Svc/Delete", "/pkg.v1.Svc", "/pkg.v1.Svc/", "/pkg.v1.Svc/Get/", "/pkg.v1.svc/Get", "/pkg.v2.Svc/Get",
        "/pkg.v1.Other", "/pkg.v1.Other/", "/pkg.v1.Other/a/b", "/grpc.reflection.v1.ServerReflection/Info", "/"}) {
    EXPECT_EQ(reason(call(path)), "path") << path;
  }
  EXPECT_EQ(reason(call("/pkg.v1.Svc%2fGet")), "path");
  EXPECT_EQ(reason(call("/pkg.v1.Svc/./Get")), "non-canonical");
  EXPECT_EQ(reason(call("/pkg.v1.Svc/Get?a=b")), "query");
  for (const char* type :
       {"application/json", "application/grpc-web", "application/grpcx", "application/grpc, x/y", ""}) {
    EXPECT_EQ(reason(call("/pkg.v1.Svc/Get", {{"content-type", type}})), "content-type") << type;
  }
  EXPECT_EQ(reason(call("/pkg.v1.Svc/Get", {})), "content-type");
  RequestHead other = call("/pkg.v1.Svc/Get");
  other.http2 = false;
  EXPECT_EQ(reason(other), "http2");
  other = call("/pkg.v1.Svc/Get");
  other.method = "GET";
  EXPECT_EQ(reason(other), "method");
  other = call("/pkg.v1.Svc/Get");
  other.scheme = "http";
  EXPECT_EQ(reason(other), "no-grant");
  other = call("/pkg.v1.Svc/Get");
  other.body = lane::BodyKind::length;
  other.body_length = 1001;
  EXPECT_EQ(reason(other), "body");
}

// What is offered is what would allow it, and nothing else.
TEST(Grpc, TheGrantThatIsOfferedLoads) {
  const std::string add = judge({calls()}, {}, call("/pkg.v1.Svc/Delete")).add;
  EXPECT_EQ(
      add,
      "[[grant]]\nhost = \"rpc.example.com\"\nprotocol = \"grpc\"\n[[grant.allow]]\npath = \"/pkg.v1.Svc/Delete\"\n");
  const auto loaded = load_document("version = 1\n" + add, "p.toml", "user", DocumentKind::policy);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(judge(loaded->grants, {}, call("/pkg.v1.Svc/Delete")).verdict, Verdict::allow);
  EXPECT_EQ(judge(loaded->grants, {}, call("/pkg.v1.Svc/Get")).verdict, Verdict::deny);
}

TEST(Grpc, ForeignCredentialsAreStillForeign) {
  for (const char* name : {"authorization", "x-api-key", "cookie"}) {
    const auto decision =
        judge({calls()}, {}, call("/pkg.v1.Svc/Get", {{"content-type", "application/grpc"}, {name, "x"}}));
    EXPECT_EQ(decision.reason, "foreign-credential") << name;
  }
}

}  // namespace
}  // namespace bulkhead::grant
