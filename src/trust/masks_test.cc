#include "trust/masks.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "trust/test_help.h"
#include "trust/trust.h"

namespace bulkhead::trust {
namespace {

TEST(Masks, WhiteoutsAndPlainParents) {
  const Folder project, mask;
  project.write("a/b/.envrc", "id");
  project.write("a/.claude/settings.json", "{}");
  ::chmod(project.at("a").c_str(), 0750);
  ASSERT_TRUE(make_masks(mask.fd(), project.fd(), {"a/.claude/settings.json", "a/b/.envrc", ".mcp.json"}));
  struct stat st{};
  for (const char* name : {"a/.claude/settings.json", "a/b/.envrc", ".mcp.json"}) {
    ASSERT_EQ(::lstat(mask.at(name).c_str(), &st), 0) << name;
    EXPECT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == 0) << name;
  }
  ASSERT_EQ(::lstat(mask.at("a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0750U);
}

TEST(Masks, RefusesPathsThatLeadElsewhere) {
  const Folder project, mask, outside;
  for (const char* bad : {".", "..", "../x", "a/../../x", "/etc", "a//b", ""}) {
    EXPECT_FALSE(make_masks(mask.fd(), project.fd(), {bad})) << bad;
  }
  // Neither through a link in the mask nor, for its modes, through one in the project.
  mask.link(outside.path(), "l");
  EXPECT_FALSE(make_masks(mask.fd(), project.fd(), {"l/x"}));
  EXPECT_TRUE(std::filesystem::is_empty(outside.path()));
  project.link(outside.path(), "p");
  EXPECT_TRUE(make_masks(mask.fd(), project.fd(), {"p/x"}));
  EXPECT_TRUE(std::filesystem::is_empty(outside.path()));
}

// In a user namespace of its own, as a session would: what is masked is not there, what is not is, and the project's
// own files stay as they are. Returns 0, or which step failed; 77 where the machine has no unprivileged overlayfs.
int seen_through_the_mask(const Folder& project, const Folder& mask, const Folder& at) {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
  const std::string options = "userxattr,lowerdir=" + mask.path() + ":" + project.path();
  if (::mount("overlay", at.path().c_str(), "overlay", 0, options.c_str()) != 0) return 77;
  struct stat st{};
  if (::stat(at.at(".envrc").c_str(), &st) == 0) return 1;
  if (::stat(at.at("a/.claude/settings.json").c_str(), &st) == 0) return 2;
  if (::stat(at.at("a/.claude/other").c_str(), &st) != 0) return 3;
  if (::stat(at.at("src/x.cc").c_str(), &st) != 0) return 4;
  // The host renames a masked file away and back (X33): the mask is over the name, and stays.
  if (::rename(project.at(".envrc").c_str(), project.at("t").c_str()) != 0 ||
      ::rename(project.at("t").c_str(), project.at(".envrc").c_str()) != 0) {
    return 5;
  }
  return ::stat(at.at(".envrc").c_str(), &st) == 0 ? 6 : 0;
}

TEST(Masks, OverlayHidesWhatNobodyTrusted_X33) {
  const Folder project, mask, at;
  project.write(".envrc", "id");
  project.write("a/.claude/settings.json", "{}");
  project.write("a/.claude/other", "x");
  project.write("src/x.cc", "x");
  const auto verdict = judge_project(project.fd(), shipped(), nullptr);
  ASSERT_TRUE(verdict);
  ASSERT_TRUE(make_masks(mask.fd(), project.fd(), verdict->to_mask()));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(seen_through_the_mask(project, mask, at));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no unprivileged overlayfs here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(*sys::read_file(project.at(".envrc"), 100), "id");
}

}  // namespace
}  // namespace bulkhead::trust
