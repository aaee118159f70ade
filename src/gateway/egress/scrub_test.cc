#include "gateway/egress/scrub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "credential/exchange.h"

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

// As long as a token of a registry's, and another that comes to be known while a body passes.
TEST(Scrub, LongSecretsAndOneMore) {
  std::mt19937 random(11);
  std::string one, two;
  while (one.size() < 3000) one += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[random() % 32];
  while (two.size() < 700) two += "0123456789-_"[random() % 12];
  Patterns patterns;
  patterns.add(Secret(one), {});
  const std::string text = "x" + one + "y" + one + one.substr(0, 2999) + "z" + one;
  const std::string want = mask_all(text, {one});
  for (const std::size_t cut : {1UL, 2UL, 300UL, 2744UL, 3000UL, 3001UL, 6002UL, 9000UL, text.size()}) {
    EXPECT_EQ(in_chunks(patterns, text, {cut}), want) << cut;
  }
  Scrubber scrubber(patterns);
  std::string out;
  scrubber.feed("a" + two + one.substr(0, 100), out);
  patterns.add(Secret(two), {});
  scrubber.feed(one.substr(100) + two + "b", out);
  scrubber.finish(out);
  EXPECT_EQ(out, "a" + two + std::string(one.size() + two.size(), '*') + "b");
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

// What a service may make of it on the way to an answer, wherever it stands in what was encoded.
TEST(Scrub, EncodedWhereverItStands) {
  const std::string secret = "sk-live/0123+456?789";
  const Patterns patterns(Secret(secret), {});
  const auto clean = [&](const std::string& text) { return in_chunks(patterns, text, {}); };
  EXPECT_EQ(clean("736b2d6c6976652f303132332b3435363f373839"), std::string(40, '*'));
  EXPECT_EQ(clean("736B2D6C6976652F303132332B3435363F373839"), std::string(40, '*'));
  for (std::size_t before = 0; before < 7; ++before) {
    for (const std::string after : {"", "x", "yz", " and more"}) {
      const std::string plain = std::string(before, 'a') + secret + after;
      const Secret encoded = base64(plain);
      std::string text(encoded.reveal());
      std::string masked = clean(text);
      EXPECT_EQ(masked.size(), text.size());
      // All that is certain of it: of the characters at its edges a few bits are its neighbours'.
      EXPECT_GE(std::ranges::count(masked, '*'), 25) << before << after << " " << masked;
      std::ranges::replace(text, '+', '-');
      std::ranges::replace(text, '/', '_');
      EXPECT_GE(std::ranges::count(clean(text), '*'), 25) << before << after;
    }
  }
  EXPECT_EQ(clean("data: c2stbGl2 is not it"), "data: c2stbGl2 is not it");
  // Too short to be told from ordinary text once encoded.
  const Patterns little(Secret("abc"), {});
  EXPECT_EQ(in_chunks(little, "616263 YWJj abc", {}), "616263 YWJj ***");
}

TEST(Scrub, BothHalvesOfAKeyPair) {
  TokenSlot slot;
  slot.carrier = Credential::Carrier::sigv4;
  const Patterns patterns(Secret("AKIAREALREALREAL0001:real/secret+key:session-token=="), slot);
  EXPECT_EQ(
      in_chunks(patterns, "<k>AKIAREALREALREAL0001</k> real/secret+key real%2Fsecret%2Bkey session-token== :", {}),
      "<k>********************</k> *************** ******************* *************** :");
}

}  // namespace
}  // namespace bulkhead::egress
