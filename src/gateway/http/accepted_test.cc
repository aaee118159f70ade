// What real clients send, as they send it: accepted, with every field as it was.
#include "gateway/http/reading_test.h"

namespace bulkhead::http {
namespace {

struct Case {
  const char* client;
  std::string start;                                         // "METHOD TARGET"
  std::vector<std::pair<std::string, std::string>> headers;  // as written on the wire
  std::string body;                                          // raw, framing included
  lane::BodyKind kind = lane::BodyKind::none;
  std::string decoded = {};
};

using enum lane::BodyKind;

std::vector<Case> cases() {
  const std::string lf_chunk = "10\r\n0123456789abcdef\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n";
  return {
      {"curl", "GET /", {{"Host", "example.com"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}}, ""},
      {"curl -I", "HEAD /x", {{"Host", "example.com"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}}, ""},
      {"curl -d", "POST /form",
       {{"Host", "example.com"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}, {"Content-Length", "7"},
        {"Content-Type", "application/x-www-form-urlencoded"}},
       "a=1&b=2", length, "a=1&b=2"},
      {"curl -T -", "PUT /up",
       {{"Host", "example.com"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}, {"Transfer-Encoding", "chunked"},
        {"Expect", "100-continue"}},
       "5\r\nhello\r\n0\r\n\r\n", streamed, "hello"},
      {"curl -u", "GET /private",
       {{"Host", "example.com:8443"}, {"Authorization", "Basic dXNlcjpwYXNz"}, {"User-Agent", "curl/7.88.1"},
        {"Accept", "*/*"}},
       ""},
      {"curl -r", "GET /big.iso", {{"Host", "example.com"}, {"Range", "bytes=0-1023"}, {"User-Agent", "curl/8.5.0"},
        {"Accept", "*/*"}}, ""},
      {"curl -F", "POST /upload",
       {{"Host", "example.com"}, {"User-Agent", "curl/8.5.0"}, {"Accept", "*/*"}, {"Content-Length", "4"},
        {"Content-Type", "multipart/form-data; boundary=------------------------d74496d66958873e"}},
       "----", length, "----"},
      {"curl -X DELETE", "DELETE /items/7", {{"Host", "example.com"}, {"User-Agent", "curl/8.5.0"}, {"Accept", "*/*"}}, ""},
      {"curl -X OPTIONS", "OPTIONS /api", {{"Host", "example.com"}, {"Accept", "*/*"}}, ""},
      {"curl --http2 over plain", "GET /",
       {{"Host", "example.com"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"},
        {"Connection", "Upgrade, HTTP2-Settings"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"}},
       ""},
      {"wget", "GET /f.tar.gz",
       {{"Host", "example.com"}, {"User-Agent", "Wget/1.21.3"}, {"Accept", "*/*"}, {"Accept-Encoding", "identity"},
        {"Connection", "Keep-Alive"}},
       ""},
      {"git fetch refs", "GET /me/repo.git/info/refs?service=git-upload-pack",
       {{"Host", "github.com"}, {"User-Agent", "git/2.39.5"}, {"Accept", "*/*"}, {"Accept-Encoding", "deflate, gzip, br, zstd"},
        {"Accept-Language", "C, *;q=0.9"}, {"Pragma", "no-cache"}, {"Git-Protocol", "version=2"}},
       ""},
      {"git fetch pack", "POST /me/repo.git/git-upload-pack",
       {{"Host", "github.com"}, {"User-Agent", "git/2.39.5"}, {"Accept-Encoding", "deflate, gzip"},
        {"Content-Type", "application/x-git-upload-pack-request"},
        {"Accept", "application/x-git-upload-pack-result"}, {"Git-Protocol", "version=2"}, {"Content-Length", "20"}},
       "0014command=ls-refs\n", length, "0014command=ls-refs\n"},
      {"git push big", "POST /me/repo.git/git-receive-pack",
       {{"Host", "github.com"}, {"User-Agent", "git/2.39.5"}, {"Content-Type", "application/x-git-receive-pack-request"},
        {"Accept", "application/x-git-receive-pack-result"}, {"Transfer-Encoding", "chunked"}},
       "4\r\n0000\r\n0\r\n\r\n", streamed, "0000"},
      {"git-lfs", "POST /me/repo.git/info/lfs/objects/batch",
       {{"Host", "github.com"}, {"Accept", "application/vnd.git-lfs+json"}, {"Content-Length", "2"},
        {"Content-Type", "application/vnd.git-lfs+json; charset=utf-8"}, {"User-Agent", "git-lfs/3.3.0 (GitHub; linux amd64; go 1.19)"}},
       "{}", length, "{}"},
      {"npm install", "GET /left-pad",
       {{"host", "registry.npmjs.org"}, {"connection", "keep-alive"}, {"user-agent", "npm/10.8.2 node/v20.18.0 linux x64 workspaces/false"},
        {"pacote-version", "18.0.6"}, {"pacote-req-type", "packument"}, {"pacote-pkg-id", "registry:left-pad"},
        {"accept", "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"},
        {"npm-command", "install"}, {"accept-encoding", "gzip,deflate"}},
       ""},
      {"npm scoped", "GET /@types%2fnode",
       {{"host", "registry.npmjs.org"}, {"accept", "*/*"}, {"connection", "keep-alive"}}, ""},
      {"npm audit", "POST /-/npm/v1/security/advisories/bulk",
       {{"content-encoding", "gzip"}, {"content-type", "application/json"}, {"content-length", "3"},
        {"host", "registry.npmjs.org"}, {"connection", "keep-alive"}},
       "\x1f\x8b\x08", length, "\x1f\x8b\x08"},
      {"pip", "GET /simple/requests/",
       {{"Host", "pypi.org"},
        {"User-Agent", "pip/23.0.1 {\"ci\":null,\"cpu\":\"x86_64\",\"distro\":{\"id\":\"bookworm\"},\"python\":\"3.11.2\"}"},
        {"Accept-Encoding", "gzip, deflate"},
        {"Accept", "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"},
        {"Connection", "keep-alive"}, {"Cache-Control", "max-age=0"}},
       ""},
      {"pip lazy wheel", "GET /packages/a/b.whl",
       {{"Host", "files.pythonhosted.org"}, {"Range", "bytes=1000-2000"}, {"If-None-Match", "\"abc\""}, {"Connection", "keep-alive"}}, ""},
      {"python-requests", "GET /get?a=1&b=%20x",
       {{"Host", "httpbin.org"}, {"User-Agent", "python-requests/2.28.1"}, {"Accept-Encoding", "gzip, deflate, br"},
        {"Accept", "*/*"}, {"Connection", "keep-alive"}},
       ""},
      {"python-requests json", "POST /post",
       {{"Host", "httpbin.org"}, {"User-Agent", "python-requests/2.28.1"}, {"Accept-Encoding", "gzip, deflate"}, {"Accept", "*/*"},
        {"Connection", "keep-alive"}, {"Content-Length", "8"}, {"Content-Type", "application/json"}},
       "{\"a\": 1}", length, "{\"a\": 1}"},
      {"python-requests generator", "POST /post",
       {{"Host", "httpbin.org"}, {"User-Agent", "python-requests/2.28.1"}, {"Connection", "keep-alive"}, {"Transfer-Encoding", "chunked"}},
       "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", streamed, "abcdef"},
      {"python urllib", "GET /",
       {{"Accept-Encoding", "identity"}, {"Host", "example.com"}, {"User-Agent", "Python-urllib/3.11"}, {"Connection", "close"}}, ""},
      {"httpx / anthropic SDK", "POST /v1/messages?beta=true",
       {{"Host", "api.anthropic.com"}, {"Accept-Encoding", "gzip, deflate"}, {"Connection", "keep-alive"},
        {"Accept", "application/json"}, {"Content-Type", "application/json"}, {"User-Agent", "Anthropic/Python 0.39.0"},
        {"X-Stainless-Lang", "python"}, {"anthropic-version", "2023-06-01"}, {"X-Api-Key", "tok-1"}, {"Content-Length", "2"}},
       "{}", length, "{}"},
      {"node fetch", "POST /v1/responses",
       {{"host", "api.openai.com"}, {"connection", "keep-alive"}, {"authorization", "Bearer tok"},
        {"content-type", "application/json"}, {"accept", "*/*"}, {"accept-language", "*"}, {"sec-fetch-mode", "cors"},
        {"user-agent", "node"}, {"accept-encoding", "gzip, deflate"}, {"content-length", "11"}},
       "{\"input\":1}", length, "{\"input\":1}"},
      {"node fetch stream", "POST /up",
       {{"host", "example.com"}, {"connection", "keep-alive"}, {"transfer-encoding", "chunked"}, {"accept", "*/*"}},
       lf_chunk, streamed, std::string("0123456789abcdef") + "\r\n\r\n\r\n\r\n\r\n"},
      {"node http POST without body", "POST /refresh", {{"Host", "example.com"}, {"Connection", "close"}, {"Content-Length", "0"}}, ""},
      {"Java HttpClient over plain", "GET /",
       {{"Connection", "Upgrade, HTTP2-Settings"}, {"Host", "example.com"}, {"HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"},
        {"Upgrade", "h2c"}, {"User-Agent", "Java-http-client/17.0.13"}},
       ""},
      {"Java HttpClient", "POST /x",
       {{"Content-Length", "4"}, {"Host", "example.com"}, {"User-Agent", "Java-http-client/17.0.13"}, {"Content-Type", "text/plain"}},
       "java", length, "java"},
      {"Java URLConnection", "GET /maven2/",
       {{"User-Agent", "Java/17.0.13"}, {"Host", "repo1.maven.org"}, {"Accept", "text/html, image/gif, image/jpeg, */*; q=0.2"},
        {"Connection", "keep-alive"}},
       ""},
      {"maven", "GET /maven2/org/a/a/maven-metadata.xml",
       {{"Cache-control", "no-cache"}, {"Cache-store", "no-store"}, {"Pragma", "no-cache"}, {"User-Agent", "Apache-Maven/3.8.7 (Java 17; Linux 6.1)"},
        {"Host", "repo.maven.apache.org"}, {"Connection", "Keep-Alive"}, {"Accept-Encoding", "gzip,deflate"}},
       ""},
      {"Go net/http", "GET /golang.org/x/mod/@v/v0.21.0.zip",
       {{"Host", "proxy.golang.org"}, {"User-Agent", "Go-http-client/1.1"}, {"Accept-Encoding", "gzip"}}, ""},
      {"Go net/http stream", "POST /v2/blobs/uploads/",
       {{"Host", "registry.example.com:5000"}, {"User-Agent", "Go-http-client/1.1"}, {"Transfer-Encoding", "chunked"}, {"Accept-Encoding", "gzip"}},
       "400\r\n" + std::string(1024, 'z') + "\r\n0\r\n\r\n", streamed, std::string(1024, 'z')},
      {"cargo", "GET /se/rd/serde",
       {{"Host", "index.crates.io"}, {"User-Agent", "cargo/1.82.0"}, {"Accept", "*/*"}, {"if-none-match", "W/\"x\""}, {"cargo-protocol", "version=1"}}, ""},
      {"apt", "GET /debian/dists/bookworm/InRelease",
       {{"Host", "deb.debian.org"}, {"User-Agent", "Debian APT-HTTP/1.3 (2.6.1)"}, {"Cache-Control", "max-age=0"}, {"Accept", "text/*"},
        {"If-Modified-Since", "Sat, 01 Nov 2025 10:00:00 GMT"}},
       ""},
      {"GET with body (elasticsearch clients)", "GET /_search",
       {{"Host", "es.example.com"}, {"Content-Type", "application/json"}, {"Content-Length", "2"}}, "{}", length, "{}"},
      {"WebDAV", "PROPFIND /dav/", {{"Host", "dav.example.com"}, {"Depth", "1"}, {"Content-Length", "0"}}, ""},
      {"IPv6 literal", "GET /", {{"Host", "[2001:db8::1]:8080"}, {"Accept", "*/*"}}, ""},
      {"empty value, inner tab, many blanks", "GET /", {{"Host", "example.com"}, {"X-Empty", ""}, {"X-Tab", "a\tb"}, {"X-Sp", "a   b"}}, ""},
  };
}

TEST(Accepted, RealClientsWithEveryFieldAsItWas) {
  std::size_t count = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.client);
    std::string bytes = c.start + " HTTP/1.1\r\n";
    for (const auto& [name, value] : c.headers) bytes += name + ": " + value + "\r\n";
    bytes += "\r\n" + c.body;

    const auto reading = read_request(bytes);
    ASSERT_FALSE(reading.refusal) << reading.refusal->reason << ": " << reading.refusal->text;
    EXPECT_EQ(reading.state, State::done);
    EXPECT_EQ(reading.used, bytes.size());
    EXPECT_EQ(reading.head.method + " " + reading.head.target, c.start);
    EXPECT_EQ(reading.head.body, c.kind);
    EXPECT_EQ(reading.body, c.decoded);
    EXPECT_EQ(reading.head.body_length, c.kind == length ? c.decoded.size() : 0);
    ASSERT_EQ(reading.head.headers.size(), c.headers.size());
    for (std::size_t i = 0; i < c.headers.size(); ++i) {
      std::string lower = c.headers[i].first;
      for (char& letter : lower) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
      EXPECT_EQ(reading.head.headers[i].first, lower);
      EXPECT_EQ(reading.head.headers[i].second, c.headers[i].second);
      if (lower == "host") EXPECT_EQ(reading.head.host, c.headers[i].second);
      if (lower == "expect") EXPECT_TRUE(reading.head.expect_continue);
      if (lower == "connection") EXPECT_EQ(reading.head.keep_alive, c.headers[i].second != "close");
    }
    ++count;
  }
  EXPECT_GE(count, 30u);
}

TEST(Accepted, BlanksAroundAValueAreNotPartOfIt) {
  const auto reading = read_request("GET / HTTP/1.1\r\nHost:\t a.example \t\r\nX:y\r\n\r\n");
  ASSERT_FALSE(reading.refusal);
  EXPECT_EQ(reading.head.host, "a.example");
  EXPECT_EQ(reading.head.headers[0].second, "a.example");
  EXPECT_EQ(reading.head.headers[1].second, "y");
}

TEST(Accepted, JustInsideTheLimits) {
  Limits limits;
  std::string bytes = "GET /" + std::string(limits.target - 1, 'a') + " HTTP/1.1\r\nHost: a.example\r\n";
  for (std::size_t i = 1; i < limits.headers; ++i) bytes += "X-" + std::to_string(i) + ": v\r\n";
  EXPECT_FALSE(read_request(bytes + "\r\n").refusal);
  EXPECT_TRUE(read_request(bytes + "One-More: v\r\n\r\n").refusal);
}

}  // namespace
}  // namespace bulkhead::http
