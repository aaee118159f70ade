#include "gateway/egress/response.h"

#include <gtest/gtest.h>

namespace bulkhead::egress {
namespace {

TEST(Response, KeepsWhatIsForTheClientOnly) {
  const Patterns patterns(Secret("sk-secret"), {});
  const lane::Headers received = {{"content-type", "text/plain"},
                                  {"connection", "close, X-Hop"},
                                  {"x-hop", "1"},
                                  {"set-cookie", "a=b"},
                                  {"alt-svc", "h3=\":443\""},
                                  {"nel", "{}"},
                                  {"report-to", "{}"},
                                  {"refresh", "0; url=https://evil.example/"},
                                  {"proxy-authenticate", "Basic"},
                                  {"www-authenticate", "Negotiate"},
                                  {"www-authenticate", "Bearer realm=\"x\""},
                                  {"link", "</a.css>; rel=preload"},
                                  {"link", "<https://api/?page=2>; rel=\"next\""},
                                  {"transfer-encoding", "chunked"},
                                  {"content-length", "5"},
                                  {"location", "https://elsewhere.example/?k=sk-secret"},
                                  {"x-sk-secret", "1"},
                                  {"x-echo", "Bearer sk-secret"}};
  const lane::Headers want = {{"content-type", "text/plain"},
                              {"www-authenticate", "Bearer realm=\"x\""},
                              {"link", "<https://api/?page=2>; rel=\"next\""},
                              {"location", "https://elsewhere.example/?k=*********"},
                              {"x-echo", "Bearer *********"}};
  EXPECT_EQ(downstream_headers(received, patterns), want);
}

TEST(Response, Encoded) {
  EXPECT_TRUE(encoded({{"content-encoding", "gzip"}}));
  EXPECT_TRUE(encoded({{"content-encoding", "identity, br"}}));
  EXPECT_TRUE(encoded({{"content-encoding", "identity"}, {"content-encoding", "gzip"}}));
  EXPECT_FALSE(encoded({{"content-encoding", " Identity "}}));
  EXPECT_FALSE(encoded({{"content-type", "text/plain"}}));
}

}  // namespace
}  // namespace bulkhead::egress
