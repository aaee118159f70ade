#include "trust/pins.h"

#include "trust/test_help.h"
#include "trust/trust.h"

namespace bulkhead::trust {
namespace {

class PinsTest : public testing::Test {
 protected:
  Verdict judge() {
    std::string problem;
    known_ = Pins::open(state_.at("s"), false)->find(*Project::of(folder_.fd()), problem);
    problem_ = problem;
    auto verdict = judge_project(folder_.fd(), shipped(), known_ ? &*known_ : nullptr);
    EXPECT_TRUE(verdict);
    return std::move(*verdict);
  }
  void trust_all() {
    Project project = *Project::of(folder_.fd());
    for (const auto& item : judge().items) {
      if (item.can_be_trusted) project.pin(item.control, true);
    }
    const auto pins = Pins::open(state_.at("s"), true);
    ASSERT_TRUE(pins) << pins.error().message;
    ASSERT_TRUE(pins->save(project));
  }
  std::string pin_file() { return state_.at("s/trust/") + Project::of(folder_.fd())->key() + ".json"; }

  Folder folder_, state_;
  std::optional<Project> known_;
  std::string problem_;
};

TEST_F(PinsTest, NothingToTrustIsTrusted) {
  folder_.write("src/x.cc", "");
  EXPECT_TRUE(judge().trusted());
  EXPECT_FALSE(judge().anything());
}

TEST_F(PinsTest, ContentIsTrustedAndAChangeAsksAgain_X13) {
  folder_.write(".envrc", "export A=1\n");
  folder_.write("n\xff/.mcp.json", "{}");
  EXPECT_EQ(judge().untrusted(), 2U);
  EXPECT_EQ(judge().items[0].why, "new");
  trust_all();
  EXPECT_TRUE(judge().trusted());
  EXPECT_TRUE(judge().to_mask().empty());
  folder_.write(".envrc", "export A=2\n");
  const Verdict changed = judge();
  ASSERT_EQ(changed.untrusted(), 1U);
  EXPECT_EQ(changed.items[0].why, "changed");
  ASSERT_NE(changed.items[0].before, nullptr);
  EXPECT_EQ(changed.items[0].before->text, "export A=1\n");
  EXPECT_EQ(changed.to_mask(), std::vector<std::string>{".envrc"});
  folder_.write(".envrc", "export A=1\n");
  EXPECT_TRUE(judge().trusted()) << "what was trusted is back";
}

TEST_F(PinsTest, ModeAndLinkTargetAreContent_X13) {
  folder_.write(".git/hooks/pre-commit", "id");
  folder_.write("one", "same");
  folder_.write("two", "same");
  folder_.link("one", "CLAUDE.md");
  trust_all();
  EXPECT_TRUE(judge().trusted());
  ::chmod(folder_.at(".git/hooks/pre-commit").c_str(), 0755);
  EXPECT_EQ(judge().untrusted(), 1U);
  ::unlink(folder_.at("CLAUDE.md").c_str());
  folder_.link("two", "CLAUDE.md");
  EXPECT_EQ(judge().untrusted(), 2U);
  ::unlink(folder_.at("CLAUDE.md").c_str());
  folder_.write("CLAUDE.md", "same");
  EXPECT_EQ(judge().untrusted(), 2U);
}

TEST_F(PinsTest, ACopyOrAnotherFolderAtThePathIsNotTrusted) {
  folder_.write("p/.envrc", "id");
  const auto at = [&](const std::string& name) { return *sys::open(folder_.at(name), O_RDONLY | O_DIRECTORY); };
  const Project original = *Project::of(at("p").get());
  std::filesystem::copy(folder_.at("p"), folder_.at("copy"), std::filesystem::copy_options::recursive);
  EXPECT_NE(Project::of(at("copy").get())->key(), original.key());
  std::filesystem::rename(folder_.at("p"), folder_.at("moved"));
  EXPECT_NE(Project::of(at("moved").get())->key(), original.key());
  std::filesystem::rename(folder_.at("copy"), folder_.at("p"));
  EXPECT_NE(Project::of(at("p").get())->key(), original.key());
}

TEST_F(PinsTest, TornForeignOrOpenFilesCountForNothing) {
  folder_.write(".envrc", "id");
  trust_all();
  const std::string file = pin_file();
  const std::string whole = *sys::read_file(file, 1 << 20);
  for (const std::string& torn : {whole.substr(0, whole.size() / 2), std::string(), std::string("[]"),
                                  std::string("{\"v\":2}"), whole.substr(0, whole.size() - 30) + "}"}) {
    std::ofstream(file, std::ios::trunc) << torn;
    EXPECT_FALSE(judge().trusted());
    EXPECT_NE(problem_, "");
  }
  std::ofstream(file, std::ios::trunc) << whole;
  EXPECT_TRUE(judge().trusted());
  ::chmod(file.c_str(), 0666);
  EXPECT_FALSE(judge().trusted());
  ::chmod(file.c_str(), 0600);
  EXPECT_TRUE(judge().trusted());
  std::filesystem::rename(file, file + "x");
  ASSERT_EQ(::symlink((file + "x").c_str(), file.c_str()), 0);
  EXPECT_FALSE(judge().trusted()) << "a link";
  std::filesystem::remove(file);
  EXPECT_FALSE(judge().trusted());
  EXPECT_EQ(problem_, "");
}

TEST_F(PinsTest, AnotherProjectsFileUnderThisNameIsRefused) {
  folder_.write(".envrc", "id");
  trust_all();
  std::string text = *sys::read_file(pin_file(), 1 << 20);
  const auto at = text.find(folder_.path());
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 5, "/elsewhere");
  std::ofstream(pin_file(), std::ios::trunc) << text;
  EXPECT_FALSE(judge().trusted());
}

TEST_F(PinsTest, WhatCannotBePinnedStaysMasked) {
  ASSERT_EQ(::mkfifo(folder_.at(".envrc").c_str(), 0644), 0);
  folder_.write("node_modules/a/.vscode/tasks.json", "{}");
  trust_all();
  const Verdict verdict = judge();
  EXPECT_EQ(verdict.untrusted(), 1U);
  EXPECT_FALSE(verdict.items[0].can_be_trusted);
  EXPECT_EQ(verdict.to_mask(), std::vector<std::string>{".envrc"});
}

TEST_F(PinsTest, TheLineIsOneLineAndEscaped) {
  for (int i = 0; i < 9; ++i) folder_.write("d" + std::to_string(i) + "\n\x1b[2J/.envrc", "id");
  const std::string line = untrusted_line(judge(), "/p\x1b", true);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_NE(line.find("9 control files"), std::string::npos);
  EXPECT_LT(line.size(), 600U);
}

}  // namespace
}  // namespace bulkhead::trust
