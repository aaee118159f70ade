#include "gateway/egress/scrub.h"

#include <gtest/gtest.h>

#include <random>

namespace bulkhead::egress {
namespace {

std::string mask_all(std::string text, const std::vector<std::string>& patterns) {  // the definition, naively
  const std::string original = text;
  for (const std::string& p : patterns) {
    for (std::size_t i = 0; i + p.size() <= original.size(); ++i) {
      if (original.compare(i, p.size(), p) == 0) text.replace(i, p.size(), std::string(p.size(), '*'));
    }
  }
  return text;
}

std::string in_chunks(const Patterns& patterns, const std::string& text, const std::vector<std::size_t>& cuts) {
  Scrubber scrubber(patterns);
  std::string out;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    scrubber.feed(std::string_view(text).substr(from, cut - from), out);
    from = cut;
  }
  scrubber.feed(std::string_view(text).substr(from), out);
  scrubber.finish(out);
  return out;
}

TEST(Scrub, EveryPairOfSplitsGivesTheSameResult) {
  const Patterns patterns(Secret("s3cret-key"), {});
  const std::string text = "a s3cret-key, s3s3cret-keys3cret-ke s3cret-key";
  const std::string want = "a **********, s3**********s3cret-ke **********";
  ASSERT_EQ(mask_all(text, {"s3cret-key"}), want);
  for (std::size_t i = 0; i <= text.size(); ++i) {
    for (std::size_t j = i; j <= text.size(); ++j) ASSERT_EQ(in_chunks(patterns, text, {i, j}), want) << i << " " << j;
  }
}

TEST(Scrub, ByteByByteAndOverlappingOccurrences) {
  std::mt19937 random(7);  // a fixed seed: the same inputs every run
  for (const std::string secret : {"aba", "aa", "abab", "a", "abaab", "aab/b"}) {
    const Patterns patterns(Secret(secret), {});
    std::vector<std::string> forms = {secret};
    if (secret == "aab/b") forms = {"aab/b", "aab%2Fb", "aab%2fb", "aab\\/b"};
    for (int round = 0; round < 300; ++round) {
      std::string text;
      const std::string alphabet = secret == "aab/b" ? "aab/%2F\\" : "ab";
      while (text.size() < 24) {
        if (random() % 8 == 0)
          text += forms[random() % forms.size()];
        else
          text += alphabet[random() % alphabet.size()];
      }
      const std::string want = mask_all(text, forms);
      std::vector<std::size_t> cuts;
      for (std::size_t i = 1; i < text.size(); ++i) cuts.push_back(i);
      ASSERT_EQ(in_chunks(patterns, text, cuts), want) << secret << " in " << text;
      cuts.clear();
      for (std::size_t i = 1; i < text.size(); ++i) {
        if (random() % 3 == 0) cuts.push_back(i);
      }
      ASSERT_EQ(in_chunks(patterns, text, cuts), want) << secret << " in " << text;
    }
  }
}

TEST(Scrub, HoldsBackOnlyWhatCouldBeginTheSecret) {
  const Patterns patterns(Secret("s3cret-key"), {});
  Scrubber scrubber(patterns);
  std::string out;
  scrubber.feed("data: hello\n\n", out);
  EXPECT_EQ(out, "data: hello\n\n");  // an event stream is not delayed
  out.clear();
  scrubber.feed("xx s3cr", out);
  EXPECT_EQ(out, "xx ");
  scrubber.feed("ied", out);
  EXPECT_EQ(out, "xx s3cried");  // it was not the secret: out at once
  out.clear();
  scrubber.feed("s3cret-ke", out);
  EXPECT_EQ(out, "");
  scrubber.finish(out);
  EXPECT_EQ(out, "s3cret-ke");
}

TEST(Scrub, EncodedForms) {
  const Patterns patterns(
      Secret("p+/ w\"~"),
      {.credential = "", .token = "", .carrier = Credential::Carrier::basic, .header = "", .basic_user = "git"});
  const auto scrubbed = [&](std::string text) {
    patterns.scrub(text);
    return text;
  };
  EXPECT_EQ(scrubbed("[p+/ w\"~]"), "[*******]");
  EXPECT_EQ(scrubbed("p%2B%2F%20w%22~&"), "***************&");
  EXPECT_EQ(scrubbed("p%2b%2f%20w%22~&"), "***************&");
  EXPECT_EQ(scrubbed("p%2B%2F+w%22%7E&"), "***************&");
  EXPECT_EQ(scrubbed("{\"k\":\"p+/ w\\\"~\"}"), "{\"k\":\"********\"}");
  EXPECT_EQ(scrubbed("{\"k\":\"p+\\/ w\\\"~\"}"), "{\"k\":\"*********\"}");
  EXPECT_EQ(scrubbed("Basic Z2l0OnArLyB3In4="), "Basic ***************=");  // base64("git:p+/ w\"~")
  EXPECT_EQ(scrubbed("nothing here"), "nothing here");
}

TEST(Scrub, HeaderNamesAndNoPatterns) {
  const Patterns patterns(Secret("SK-Key"), {});
  EXPECT_TRUE(patterns.in_name("x-sk-key-seen"));
  EXPECT_FALSE(patterns.in_name("x-sk-seen"));
  const Patterns none;
  std::string text = "anything";
  none.scrub(text);
  EXPECT_EQ(text, "anything");
  EXPECT_EQ(in_chunks(none, "anything", {3}), "anything");
}

}  // namespace
}  // namespace bulkhead::egress
