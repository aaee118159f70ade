#include "session/asking.h"

#include <gtest/gtest.h>

#include <functional>

#include "gateway/grant/grant.h"

namespace bulkhead::session {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Numbers = std::vector<std::uint64_t>;

// Everything that asking stands on, played.
struct World final : AskWorld {
  shim::WindowSize window() const override { return size; }
  bool show(const std::vector<std::string>& lines, const std::string& offered) override {
    if (!may_show) return false;
    EXPECT_FALSE(open) << "one at a time";
    open = true;
    ++shown;
    text.clear();
    for (const std::string& line : lines) text += line + "\n";
    keys = offered;
    return true;
  }
  bool showing() const override { return open; }
  std::optional<char> key() override { return std::exchange(pressed, std::nullopt); }
  void hide() override { open = false; }
  bool busy() const override { return is_busy; }
  const std::vector<Grant>& held() const override { return grants; }
  Result<void> can_grant(const std::vector<Grant>&) const override {
    return refuses ? Result<void>(fail("it was revoked")) : Result<void>();
  }
  Result<std::vector<std::string>> grant(const std::vector<Grant>& more, bool in_file, nlohmann::json fields) override {
    EXPECT_FALSE(is_busy);
    EXPECT_FALSE(open) << "the screen is the workload's again";
    is_busy = true;
    fields["kept"] = in_file;
    std::vector<std::string> ids;
    for (Grant one : more) {
      one.id = std::to_string(100 + ++given);
      ids.push_back(one.id);
      grants.push_back(std::move(one));
    }
    fields["grants"] = ids;
    events.emplace_back("ask.answer", fields);
    return ids;
  }
  Result<void> withdraw(const std::vector<std::string>& ids) override {
    EXPECT_FALSE(is_busy);
    withdrawn.insert(withdrawn.end(), ids.begin(), ids.end());
    std::erase_if(grants, [&](const Grant& one) { return std::ranges::find(ids, one.id) != ids.end(); });
    return {};
  }
  Result<void> keep(const std::string& toml) override {
    if (!keeps) return fail("the file has changed");
    kept += toml;
    return {};
  }
  Result<void> record(const char* type, const nlohmann::json& fields) override {
    events.emplace_back(type, fields);
    return {};
  }
  Result<void> answer(std::uint64_t number) override {
    answered.push_back(number);
    return {};
  }

  std::vector<std::string> answers() const {
    std::vector<std::string> out;
    for (const auto& [type, fields] : events) {
      if (type == "ask.answer") out.push_back(fields.value("answer", ""));
    }
    return out;
  }

  shim::WindowSize size{40, 120};
  bool may_show = true, open = false, is_busy = false, refuses = false, keeps = true;
  int shown = 0, given = 0;
  std::string text, keys, kept;
  std::optional<char> pressed;
  std::vector<Grant> grants;
  std::vector<std::string> withdrawn;
  std::vector<std::pair<std::string, nlohmann::json>> events;
  Numbers answered;
};

Question get(const std::string& target, std::uint64_t number = 1) {
  Question out;
  out.number = number;
  out.method = "GET";
  out.scheme = "https";
  out.host = "new.example.com";
  out.port = 443;
  out.target = target;
  return out;
}

struct AskingTest : testing::Test {
  AskingTest() : AskingTest(AskBounds{}) {}
  explicit AskingTest(const AskBounds& bounds)
      : asking(world, {}, {"claude", "/home/me/policy.toml", "", seconds(60)}, bounds) {}

  Question question(const std::string& target) { return get(target, ++number); }
  std::uint64_t ask(const std::string& target) {
    const Question one = question(target);
    EXPECT_TRUE(asking.asked(one, now));
    step();
    return one.number;
  }
  void step(milliseconds later = milliseconds(0)) {
    now += later;
    EXPECT_TRUE(asking.step(now));
  }
  void press(char key) {
    world.pressed = key;
    step(seconds(1));
  }
  // Front and egress have done what they were told.
  void applied() {
    world.is_busy = false;
    step();
  }

  World world;
  Asking asking;
  Asking::Clock::time_point now{std::chrono::hours(1)};
  std::uint64_t number = 0;
};

struct FewTest : AskingTest {
  FewTest() : AskingTest({.per_minute = 4, .in_all = 6, .waiting = 3, .remembered = 2, .recorded = 2}) {}
};

TEST_F(AskingTest, OnceIsGrantedForOneRequestAndTakenBack) {
  ask("/a?q=1");
  EXPECT_NE(world.text.find("GET https://new.example.com:443/a?q=1"), std::string::npos) << world.text;
  EXPECT_EQ(world.keys, "yosan");
  ASSERT_TRUE(asking.deadline());
  press('o');
  EXPECT_TRUE(world.answered.empty()) << "not before it holds everywhere";
  ASSERT_EQ(world.grants.size(), 1U);
  EXPECT_EQ(world.grants[0].budget.requests, 1U);
  EXPECT_EQ(world.grants[0].allow[0].target, "/a?q=1");
  applied();
  EXPECT_EQ(world.answered, Numbers{1});
  EXPECT_TRUE(world.withdrawn.empty());
  ASSERT_TRUE(asking.ended(1, now));
  step();
  EXPECT_EQ(world.withdrawn, std::vector<std::string>{"101"});
  // The same again is asked again.
  ask("/a?q=1");
  EXPECT_EQ(world.shown, 2);
  const auto& [type, fields] = world.events[1];
  EXPECT_EQ(world.events[0].first, "ask.question");
  EXPECT_EQ(type, "ask.answer");
  EXPECT_EQ(fields.at("answer"), "once");
  EXPECT_EQ(fields.at("ms"), 1000);
  EXPECT_EQ(fields.at("path"), "/a?q=1");
  EXPECT_EQ(fields.at("grants"), nlohmann::json::array({"101"}));
}

TEST_F(AskingTest, ACredentialIsGrantedByName) {
  Credential api, profiles;
  api.header = profiles.header = "x-api-key";
  Asking other(world, {{}, {{"api", api}, {"profiles", profiles}}, "", {}},
               {"claude", "/home/me/policy.toml", "", seconds(60), {"api"}});
  Grant held;
  held.hosts = {"new.example.com"};
  held.allow = {{{"GET"}, "/granted", {}, "", std::nullopt}};
  for (const char* name : {"api", "profiles"}) {
    held.credential = name;
    world.grants.push_back(held);
  }
  Question asked = question("/a");
  asked.credential = "api";
  ASSERT_TRUE(other.asked(asked, now) && other.step(now));
  EXPECT_EQ(world.keys, "yosan");
  world.pressed = 'a';
  ASSERT_TRUE(other.step(now));
  EXPECT_EQ(world.grants.back().credential, "api");
  EXPECT_NE(world.kept.find("credential = \"api\""), std::string::npos);
  EXPECT_EQ(world.events.back().second.at("credential"), "api");
  world.is_busy = false;
  ASSERT_TRUE(other.step(now));
  // The same without it is another question; what was said holds for what it was said about.
  ASSERT_TRUE(other.asked(question("/a"), now) && other.step(now));
  EXPECT_EQ(world.shown, 2);
  world.pressed = 'n';
  ASSERT_TRUE(other.step(now));
  // Of a profile: not for always, whatever key is pressed.
  asked = question("/b");
  asked.credential = "profiles";
  ASSERT_TRUE(other.asked(asked, now) && other.step(now));
  EXPECT_EQ(world.keys, "yosn");
  world.pressed = 'a';
  ASSERT_TRUE(other.step(now));
  EXPECT_EQ(world.answers().back(), "no");
  // One that no grant exchanges there is not asked about.
  asked = question("/c");
  asked.credential = "nobodys";
  ASSERT_TRUE(other.asked(asked, now) && other.step(now));
  EXPECT_EQ(world.shown, 3);
  EXPECT_EQ(world.answered, (Numbers{1, 2, 3, 4}));
}

TEST_F(AskingTest, AClientThatLeavesWhileItsAnswerIsAppliedLeavesNothingBehind) {
  ask("/a");
  press('o');
  ASSERT_TRUE(asking.ended(1, now));
  step();
  EXPECT_TRUE(world.withdrawn.empty()) << "one change at a time";
  applied();
  EXPECT_EQ(world.withdrawn, std::vector<std::string>{"101"});
}

TEST_F(AskingTest, ForTheSession) {
  ask("/a");
  const std::uint64_t same = ask("/a?"), other = ask("/b");
  EXPECT_EQ(world.shown, 1);
  press('s');
  EXPECT_EQ(world.grants[0].budget.requests, std::nullopt);
  EXPECT_TRUE(world.grants[0].allow[0].target.empty());
  EXPECT_TRUE(world.kept.empty());
  applied();
  EXPECT_EQ(world.answered, (Numbers{1, same})) << "what is allowed by now is not asked about";
  EXPECT_TRUE(world.open);
  EXPECT_NE(world.text.find("/b"), std::string::npos);
  ASSERT_TRUE(asking.ended(1, now));
  step();
  EXPECT_TRUE(world.withdrawn.empty());
  press('n');
  EXPECT_EQ(world.answered, (Numbers{1, same, other}));
}

TEST_F(AskingTest, AlwaysIsWrittenFirst) {
  ask("/a");
  press('a');
  EXPECT_EQ(world.kept, "[[grant]]\nhost = \"new.example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/a\"\n");
  EXPECT_EQ(world.events.back().second.at("kept"), true);
  EXPECT_EQ(world.events.back().second.at("file"), "/home/me/policy.toml");
  applied();
  ASSERT_EQ(asking.summary().size(), 1U);
  EXPECT_NE(asking.summary()[0].find("added to /home/me/policy.toml"), std::string::npos);
  world.keeps = false;
  ask("/b");
  press('a');
  EXPECT_EQ(world.events.back().second.at("kept"), false);
  EXPECT_EQ(world.events.back().second.at("why"), "the file has changed");
  EXPECT_EQ(world.grants.size(), 2U) << "for this session";
  EXPECT_NE(asking.summary()[1].find("this session only"), std::string::npos);
}

TEST_F(AskingTest, NothingWithoutAKeyThatSaysSo) {
  for (const char key : std::string("nx1 \x1b")) {
    ask("/" + std::to_string(static_cast<int>(key)));
    now += seconds(60);  // for the rate
    world.pressed = key;
    step();
    EXPECT_FALSE(world.open);
  }
  EXPECT_TRUE(world.grants.empty());
  EXPECT_EQ(world.answers(), std::vector<std::string>(5, "no"));
  EXPECT_EQ(world.answered, (Numbers{1, 2, 3, 4, 5}));
}

TEST_F(AskingTest, WithoutAFileThereIsNoAlways) {
  Asking other(world, {}, {"claude", "", "root's", seconds(60)});
  Question one = question("/a");
  ASSERT_TRUE(other.asked(one, now));
  ASSERT_TRUE(other.step(now));
  EXPECT_EQ(world.keys, "yosn");
  EXPECT_NE(world.text.find("not for always: root's"), std::string::npos);
  world.pressed = 'a';  // all the same
  ASSERT_TRUE(other.step(now));
  EXPECT_TRUE(world.grants.empty());
  EXPECT_TRUE(world.kept.empty());
}

TEST_F(AskingTest, NoAnswerIsNoAndIsRemembered) {
  ask("/a?x=1");
  step(seconds(59));
  EXPECT_TRUE(world.open);
  step(seconds(1));
  EXPECT_FALSE(world.open);
  EXPECT_EQ(world.answers(), std::vector<std::string>{"timeout"});
  EXPECT_EQ(world.events.back().second.at("ms"), 60'000);
  EXPECT_EQ(world.answered, Numbers{1});
  ask("/a?x=2");
  EXPECT_EQ(world.shown, 1);
  EXPECT_EQ(world.answered, (Numbers{1, 2}));
  EXPECT_TRUE(asking.summary().empty());
}

TEST_F(AskingTest, AFewAMinuteAndTheRestIsDenied) {
  for (int i = 0; i < 7; ++i) {
    ask("/" + std::to_string(i));
    if (world.open) press('n');
  }
  EXPECT_EQ(world.shown, 4);
  EXPECT_EQ(world.answered.size(), 7U);
  EXPECT_EQ(world.answers(), (std::vector<std::string>{"no", "no", "no", "no", "rate", "rate", "rate"}));
  EXPECT_EQ(asking.summary(), std::vector<std::string>{"ask: 3 requests were not asked about, and denied"});
  step(seconds(16));
  ask("/later");
  EXPECT_EQ(world.shown, 5);
}

// A front that was taken over, as fast as it can.
TEST_F(FewTest, AFloodIsDeniedAndBounded) {
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(asking.asked(question("/" + std::to_string(i)), now));
  }
  step();
  EXPECT_EQ(world.shown, 1);
  EXPECT_EQ(world.answered.size(), 9'997U) << "one is asked about, two more wait";
  EXPECT_EQ(world.events.size(), 3U) << "two refusals are recorded, and the question";
  for (int minute = 0; minute < 50; ++minute) {
    for (int i = 0; i < 10; ++i) {
      if (world.open) press('n');
      ask("/again" + std::to_string(minute * 10 + i));
    }
    step(seconds(60));
  }
  EXPECT_EQ(world.shown, 6) << "in all";
  EXPECT_TRUE(world.grants.empty());
}

TEST_F(AskingTest, OutOfOrderIsAnEnd) {
  for (const std::uint64_t wrong : {0ULL, 2ULL, UINT64_MAX - 0ULL}) {
    Question one = question("/a");
    one.number = wrong;
    EXPECT_FALSE(asking.asked(one, now));
    number = 0;
  }
  EXPECT_FALSE(asking.ended(1, now));
  EXPECT_FALSE(asking.ended(0, now));
  ask("/a");
  Question again = question("/a");
  again.number = 1;
  EXPECT_FALSE(asking.asked(again, now)) << "asked twice";
  EXPECT_TRUE(asking.ended(1, now));
  EXPECT_TRUE(asking.ended(1, now)) << "it may be late";
  EXPECT_TRUE(world.grants.empty());
  EXPECT_EQ(world.answers(), std::vector<std::string>{"gone"});
}

TEST_F(AskingTest, WhatCannotBeGrantedIsNotAsked) {
  ask("/a/../b");
  world.refuses = true;
  ask("/revoked");
  world.refuses = false;
  world.may_show = false;
  ask("/in-the-background");
  world.may_show = true;
  world.size = {10, 120};
  ask("/low");
  world.size = {40, 50};
  ask("/narrow");
  EXPECT_EQ(world.shown, 0);
  EXPECT_EQ(world.answered, (Numbers{1, 2, 3, 4, 5}));
  EXPECT_TRUE(world.events.empty());
  EXPECT_EQ(asking.summary(), std::vector<std::string>{"ask: 5 requests were not asked about, and denied"});
}

TEST_F(AskingTest, WhatIsRevokedWhileTheQuestionIsOpenStaysSo) {
  ask("/a");
  world.refuses = true;
  press('s');
  EXPECT_TRUE(world.grants.empty());
  EXPECT_EQ(world.events.back().second.at("answer"), "no");
  EXPECT_EQ(world.events.back().second.at("why"), "it was revoked");
}

TEST_F(AskingTest, AnAnswerWaitsForAnotherChange) {
  ask("/a");
  world.is_busy = true;  // bulkhead reload
  press('s');
  EXPECT_FALSE(world.open);
  EXPECT_TRUE(world.grants.empty());
  applied();
  EXPECT_EQ(world.grants.size(), 1U);
}

TEST_F(AskingTest, TheEndTakesEverythingAlong) {
  ask("/a");
  ask("/b");
  ASSERT_TRUE(asking.close(now));
  EXPECT_FALSE(world.open);
  EXPECT_EQ(world.answered, (Numbers{1, 2}));
  EXPECT_EQ(world.answers(), std::vector<std::string>{"gone"});
  ask("/c");
  EXPECT_EQ(world.shown, 1);
  EXPECT_EQ(world.answered, (Numbers{1, 2, 3}));
  // As when the terminal is taken away.
  World away;
  Asking other(away, {}, {"claude", "", "", seconds(60)});
  number = 0;
  ASSERT_TRUE(other.asked(question("/a"), now));
  ASSERT_TRUE(other.step(now));
  away.open = false;
  ASSERT_TRUE(other.step(now));
  EXPECT_EQ(away.answers(), std::vector<std::string>{"gone"});
}

TEST(QuestionLines, NameTheCredentialAndWhereItCanNotBeKept) {
  const Question asked = get("/v1");
  advice::Offer offer;
  offer.toml = "[[grant]]\n";
  AskShown shown{"claude", "/home/me/policy.toml", "", seconds(60), {"mine"}};
  const auto text = [&] {
    std::string out;
    for (const std::string& line : question_lines(asked, offer, shown, {40, 120})) out += line + "\n";
    return out;
  };
  EXPECT_EQ(text().find("key"), std::string::npos);
  EXPECT_EQ(why_not_always(shown, offer), "");
  offer.credential = "mine";
  EXPECT_NE(text().find("\n  with your key: credential \"mine\""), std::string::npos) << text();
  EXPECT_EQ(why_not_always(shown, offer), "");
  offer.credential = "profiles";
  EXPECT_NE(text().find("not for always: credential \"profiles\" is not defined in /home/me/policy.toml"),
            std::string::npos)
      << text();
}

TEST(QuestionLines, FitAndHoldNothingThatMovesACursor) {
  Question asked = get("/" + std::string(1900, 'a'));
  asked.method = "POST";
  asked.port = 8443;
  asked.headers.assign(30, "x-header");
  asked.content_type = "application/json";
  asked.body = lane::BodyKind::streamed;
  const auto offer = advice::offer_for(asked, {}, {});
  ASSERT_TRUE(offer) << offer.error().message;
  const AskShown shown{"sh -c 'x\x1b[2J\xe2\x80\xaey'", "/home/me/" + std::string(200, 'p'), "", seconds(60)};
  for (const std::uint16_t columns : {60, 80, 200}) {
    const auto lines = question_lines(asked, *offer, shown, {24, columns});
    ASSERT_FALSE(lines.empty()) << columns;
    EXPECT_LE(lines.size(), 24U);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      EXPECT_LT(lines[i].size(), columns);
      for (const char c : lines[i]) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << lines[i];
    }
  }
  const auto lines = question_lines(asked, *offer, shown, {24, 80});
  EXPECT_TRUE(lines[2].starts_with("  POST https://new.example.com:8443/aaa")) << "what it is comes first";
  EXPECT_NE(lines[5].find("in all)"), std::string::npos);
  EXPECT_TRUE(question_lines(asked, *offer, shown, {12, 80}).empty());
  EXPECT_TRUE(question_lines(asked, *offer, shown, {24, 59}).empty());
}

}  // namespace
}  // namespace bulkhead::session
