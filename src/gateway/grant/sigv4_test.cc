#include "gateway/grant/sigv4.h"

#include <gtest/gtest.h>

#include "gateway/grant/carrier.h"
#include "gateway/grant/grant.h"
#include "policy/digest.h"

namespace bulkhead::grant::sigv4 {
namespace {

const std::string nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Published {
  const char* what;
  const char *service, *time, *method, *target;
  lane::Headers headers;
  std::string payload;
  const char* signature;
};

// The worked examples of AWS's documentation: the facts, as far as a signature has any.
TEST(SigV4, PublishedExamples) {
  const char* s3_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const char* other_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
  const std::string bucket = "examplebucket.s3.amazonaws.com", time = "20130524T000000Z";
  const std::string put = sha256_hex("Welcome to Amazon S3.");
  const std::vector<Published> examples = {
      {"S3 GET with a range",
       "s3",
       "20130524T000000Z",
       "GET",
       "/test.txt",
       {{"host", bucket}, {"range", "bytes=0-9"}, {"x-amz-content-sha256", nothing}, {"x-amz-date", time}},
       nothing,
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"S3 PUT",
       "s3",
       "20130524T000000Z",
       "PUT",
       "/test%24file.text",
       {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"host", bucket},
        {"x-amz-content-sha256", put},
        {"x-amz-date", time},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       put,
       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"S3 GET lifecycle",
       "s3",
       "20130524T000000Z",
       "GET",
       "/?lifecycle",
       {{"host", bucket}, {"x-amz-content-sha256", nothing}, {"x-amz-date", time}},
       nothing,
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"S3 list",
       "s3",
       "20130524T000000Z",
       "GET",
       "/?prefix=J&max-keys=2",
       {{"host", bucket}, {"x-amz-content-sha256", nothing}, {"x-amz-date", time}},
       nothing,
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
      {"get-vanilla",
       "service",
       "20150830T123600Z",
       "GET",
       "/",
       {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
       nothing,
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"IAM ListUsers",
       "iam",
       "20150830T123600Z",
       "GET",
       "/?Action=ListUsers&Version=2010-05-08",
       {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
        {"host", "iam.amazonaws.com"},
        {"x-amz-date", "20150830T123600Z"}},
       nothing,
       "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
  };
  for (const Published& one : examples) {
    const auto canonical = canonical_request({one.method, one.target, one.headers, one.payload}, one.service);
    ASSERT_TRUE(canonical) << one.what;
    const char* key = std::string_view(one.service) == "s3" ? s3_key : other_key;
    EXPECT_EQ(sign(key, one.time, "us-east-1", one.service, *canonical), one.signature) << one.what << "\n"
                                                                                        << *canonical;
  }
}

TEST(SigV4, CanonicalForms) {
  const auto of = [](const char* target, const char* service) {
    const auto canonical = canonical_request({"GET", target, {{"host", "a"}}, "x"}, service);
    return canonical ? canonical->substr(0, canonical->find("\nhost:")) : std::string("none");
  };
  EXPECT_EQ(of("/a%20b/c%7e?z=%2f&a=1&a&b=%C3%BC", "s3"), "GET\n/a%20b/c~\na=&a=1&b=%C3%BC&z=%2F");
  EXPECT_EQ(of("/a%20b", "sqs"), "GET\n/a%2520b\n");  // encoded once more, everywhere but in S3
  EXPECT_EQ(of("/a%2", "s3"), "none");
  EXPECT_EQ(of("/a?b=%zz", "sqs"), "none");
  const auto spaced = canonical_request({"GET", "/", {{"host", "a"}, {"x-amz-meta", "  a \t b  "}}, "x"}, "s3");
  EXPECT_NE(spaced->find("x-amz-meta:a b\n"), std::string::npos);
}

const std::string good =
    "AWS4-HMAC-SHA256 Credential=AKIABULKHEAD01234567/20260102/eu-central-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" +
    std::string(64, 'a');

TEST(SigV4, ParsesOneSpellingOnly) {
  const auto parsed = parse(good);
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(parsed->key_id, "AKIABULKHEAD01234567");
  EXPECT_EQ(parsed->region, "eu-central-1");
  EXPECT_EQ(parsed->service, "s3");
  EXPECT_EQ(parsed->signed_headers.size(), 3U);
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return parse(text);
  };
  EXPECT_FALSE(with("host;", ""));                                               // the host has to be signed
  EXPECT_FALSE(with("host;x-amz-content-sha256", "x-amz-content-sha256;host"));  // sorted
  EXPECT_FALSE(with("host;", "host;host;"));
  EXPECT_FALSE(with("host;", "Host;"));
  EXPECT_FALSE(with("aws4_request", "aws5_request"));
  EXPECT_FALSE(with("/s3/", "/s3/x/"));
  EXPECT_FALSE(with("/20260102/", "/2026010/"));
  EXPECT_FALSE(with("Signature=a", "Signature=A"));
  EXPECT_FALSE(with(", Signature=", ", Signature=aa, Signature="));
  EXPECT_FALSE(with(", Signature=", ", More=1, Signature="));
  EXPECT_FALSE(parse("AWS4-HMAC-SHA256"));
  EXPECT_FALSE(parse(""));
  EXPECT_NE(with("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256").error().find("several regions"), std::string::npos);
  EXPECT_NE(parse("AWS AKIA:sig").error().find("s3v4"), std::string::npos);
}

TokenSlot slot() {
  TokenSlot out;
  out.credential = "aws";
  out.carrier = Credential::Carrier::sigv4;
  out.token = "AKIABULKHEAD01234567";
  out.signing_key = "0123456789abcdef0123456789abcdef01234567";
  out.region = "eu-central-1";
  out.service = "s3";
  return out;
}

std::string judged(const std::string& authorization, const lane::Headers& more,
                   const std::string& target = "/bucket/key") {
  Grant grant;
  grant.id = "1";
  grant.hosts = {"s3.eu-central-1.amazonaws.com"};
  grant.credential = "aws";
  grant.allow = {{{"GET"}, "/**", {"*"}, "", std::nullopt}};
  RequestHead head;
  head.method = "GET";
  head.scheme = "https";
  head.host = grant.hosts[0];
  head.port = 443;
  head.target = target;
  if (!authorization.empty()) head.headers.emplace_back("authorization", authorization);
  head.headers.insert(head.headers.end(), more.begin(), more.end());
  const Decision decision = judge({grant}, {slot()}, head);
  if (decision.verdict == Verdict::allow) return decision.slot_filled ? "filled" : "empty";
  return decision.reason + ": " + decision.text;
}

TEST(SigV4, TheSlotIsASignatureByThisSessionForThisService) {
  const lane::Headers date{{"x-amz-date", "20260102T030405Z"}, {"x-amz-content-sha256", nothing}};
  EXPECT_EQ(judged(good, date), "filled");
  EXPECT_EQ(judged("", {}), "empty");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return judged(text, date);
  };
  EXPECT_TRUE(with("AKIABULKHEAD01234567", "AKIAATTACKERSOWNKEY0").starts_with("foreign-credential"));
  EXPECT_TRUE(with("eu-central-1", "us-east-1").starts_with("signature"));
  EXPECT_TRUE(with("/s3/", "/sts/").starts_with("signature"));
  EXPECT_TRUE(judged("Bearer abc", date).starts_with("foreign-credential"));
  EXPECT_TRUE(judged(good, {}).starts_with("signature"));                                    // no date
  EXPECT_TRUE(judged(good, {{"x-amz-date", "20260103T030405Z"}}).starts_with("signature"));  // of another day
  EXPECT_TRUE(judged(good, {date[0], date[0]}).find("X-Amz-Date") != std::string::npos);
  EXPECT_TRUE(judged(good, {date[0], {"x-amz-security-token", "attackers"}}).starts_with("foreign-credential"));
  for (const char* word : {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}) {
    EXPECT_EQ(judged(good, {date[0], {"x-amz-content-sha256", word}}), "filled") << word;
  }
  for (const char* word : {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                           "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}) {
    EXPECT_NE(judged(good, {date[0], {"x-amz-content-sha256", word}}).find("chunkedEncodingEnabled(false)"),
              std::string::npos)
        << word;
  }
  EXPECT_TRUE(judged(good, {date[0], {"x-amz-content-sha256", "abc"}}).starts_with("signature"));
  // Nothing of the pair anywhere else, and no presigned address, whoever made it.
  EXPECT_NE(judged("", {}, "/bucket/key?X-Amz-Signature=abc").find("presigned"), std::string::npos);
  EXPECT_TRUE(judged("", {{"user-agent", slot().signing_key}}).starts_with("carrier"));
  EXPECT_TRUE(judged("", {}, "/bucket/" + slot().signing_key).starts_with("carrier"));
}

}  // namespace
}  // namespace bulkhead::grant::sigv4
