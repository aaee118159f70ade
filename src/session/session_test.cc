#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "session/copies.h"
#include "session/environment.h"
#include "session/limits.h"
#include "session/plan.h"
#include "session/report.h"

namespace bulkhead::session {
namespace {

class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    char where[] = "/tmp/bulkhead-session-test-XXXXXX";
    ASSERT_NE(::mkdtemp(where), nullptr);
    root_ = where;
    identity_.uid = ::getuid();
    identity_.gid = ::getgid();
    identity_.name = "tester";
    identity_.home = root_ + "/home";
    ASSERT_TRUE(sys::make_directories(root_ + "/home/project", 0700));
    ASSERT_TRUE(sys::make_directories(root_ + "/session", 0700));
    auto fd = sys::open(root_ + "/session", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd);
    session_ = std::move(*fd);
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root_)); }

  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(sys::write_file_atomically(root_ + "/" + path, text, 0600));
  }
  Result<Planned> plan(const std::vector<Mount>& mounts) {
    Policy policy;
    policy.mounts = mounts;
    auto sources = Sources::make(identity_);
    if (!sources) return tl::unexpected(std::move(sources).error());
    session::Paths paths;
    paths.home = identity_.home;
    paths.state = root_ + "/home/.local/state/bulkhead";
    auto reviews = review::Reviews::open(paths);
    if (!reviews) return tl::unexpected(std::move(reviews).error());
    const PlanOf of{"abcdefghijkl", session_.get(), root_ + "/home/project", paths, {"true"}, &*reviews};
    PolicyRequest request;
    request.data_dir = BULKHEAD_SOURCE_DIR;
    request.place = {root_ + "/home/project", root_ + "/home"};
    return make_plan(policy, request, identity_, *sources, of);
  }

  std::string root_;
  Identity identity_;
  UniqueFd session_;
};

Mount mount_of(const std::string& path, MountMode mode = MountMode::rw) {
  Mount mount;
  mount.path = path;
  mount.mode = mode;
  return mount;
}

using Plan = Scratch;
TEST_F(Plan, ShowsTheWorkingDirectoryWhereItIs) {
  const auto planned = plan({mount_of(".")});
  ASSERT_TRUE(planned) << planned.error().message;
  ASSERT_EQ(planned->plan.mounts.size(), 1U);
  EXPECT_EQ(planned->plan.mounts[0].target, root_ + "/home/project");
  EXPECT_EQ(planned->workspace, root_ + "/home/project");
  EXPECT_EQ(planned->directory, root_ + "/home/project");
}

TEST_F(Plan, RefusesWhatWouldUndoTheBoundary) {
  ASSERT_EQ(::symlink("/proc", (root_ + "/home/project/sneaky").c_str()), 0);
  ASSERT_EQ(::symlink((root_ + "/home").c_str(), (root_ + "/home/project/up").c_str()), 0);
  for (const std::string& path :
       {std::string("/"), std::string("~"), root_, std::string("/proc"), std::string("/etc/ssh"), std::string("/usr"),
        std::string("/tmp"), std::string(".."), std::string("sneaky"), std::string("up"), std::string("/dev/null")}) {
    EXPECT_FALSE(plan({mount_of(path)})) << path;
  }
}

TEST_F(Plan, OptionalMountsMayBeAbsentOthersNot) {
  Mount absent = mount_of("~/nothing");
  EXPECT_FALSE(plan({absent}));
  absent.optional = true;
  const auto planned = plan({absent});
  ASSERT_TRUE(planned);
  EXPECT_TRUE(planned->plan.mounts.empty());
}

TEST_F(Plan, PrivateCopiesLeaveTheHostsAlone) {
  ASSERT_TRUE(sys::make_directories(root_ + "/home/.agent/sub", 0700));
  write("home/.agent/settings.json", "{}");
  write("home/.agent/.credentials.json", "secret");
  ASSERT_EQ(::symlink("/etc/passwd", (root_ + "/home/.agent/link").c_str()), 0);
  ASSERT_EQ(::mkfifo((root_ + "/home/.agent/fifo").c_str(), 0600), 0);
  Mount mount = mount_of("~/.agent");
  mount.copy = true;
  mount.except = {".credentials.json"};
  const auto planned = plan({mount});
  ASSERT_TRUE(planned) << planned.error().message;
  const auto path = sys::path_of(planned->plan.mounts[0].source.get());
  ASSERT_TRUE(path);
  EXPECT_TRUE(path->starts_with(root_ + "/session/"));
  EXPECT_TRUE(sys::exists(*path + "/settings.json"));
  EXPECT_TRUE(sys::exists(*path + "/sub"));
  EXPECT_FALSE(sys::exists(*path + "/.credentials.json"));
  EXPECT_FALSE(sys::exists(*path + "/fifo"));
  EXPECT_EQ(*sys::read_link(*path + "/link"), "/etc/passwd");  // copied as a link, not through it
}

TEST_F(Plan, PrivateCopiesOfAPartHoldThatPart) {
  ASSERT_TRUE(sys::make_directories(root_ + "/home/.agent/skills/one", 0700));
  ASSERT_TRUE(sys::make_directories(root_ + "/home/.agent/state/deep", 0700));
  for (const char* name : {"settings.json", "settings.json.old", "memories.sqlite", "skills/one/text", "skills/secret",
                           "state/deep/kept", "state/deep/other"}) {
    write("home/.agent/" + std::string(name), name);
  }
  Mount mount = mount_of("~/.agent");
  mount.copy = true;
  mount.only = {"settings.json", "skills", "state/deep/kept", "absent"};
  mount.except = {"skills/secret"};
  const auto planned = plan({mount});
  ASSERT_TRUE(planned) << planned.error().message;
  const std::string path = *sys::path_of(planned->plan.mounts[0].source.get()) + "/";
  for (const char* name : {"settings.json", "skills/one/text", "state/deep/kept"}) {
    EXPECT_TRUE(sys::exists(path + name)) << name;
  }
  for (const char* name : {"settings.json.old", "memories.sqlite", "skills/secret", "state/deep/other", "absent"}) {
    EXPECT_FALSE(sys::exists(path + name)) << name;
  }
}

TEST_F(Plan, AnEmptyListOfWhatToCopyCopiesNothing) {
  ASSERT_TRUE(sys::make_directories(root_ + "/home/.agent", 0700));
  write("home/.agent/settings.json", "{}");
  Mount mount = mount_of("~/.agent");
  mount.copy = true;
  mount.only.emplace();
  const auto planned = plan({mount});
  ASSERT_TRUE(planned) << planned.error().message;
  EXPECT_FALSE(sys::exists(*sys::path_of(planned->plan.mounts[0].source.get()) + "/settings.json"));
}

TEST_F(Plan, CopiesOfJsonFilesHoldTheKeysTheyMay) {
  write("home/.agent.json", R"({"theme":"dark","theme/x":1,"oauth":{"token":"secret"},"new":1})");
  Mount mount = mount_of("~/.agent.json");
  mount.copy = true;
  mount.only = {"theme", "oauth"};
  mount.except = {"oauth"};
  const auto planned = plan({mount});
  ASSERT_TRUE(planned) << planned.error().message;
  const auto text = sys::read_file(*sys::path_of(planned->plan.mounts[0].source.get()), 4096);
  ASSERT_TRUE(text);
  EXPECT_EQ(nlohmann::json::parse(*text), (nlohmann::json{{"theme", "dark"}}));
  write("home/.agent.json", "not json");
  mount.except.clear();
  EXPECT_FALSE(plan({mount}));
}

TEST_F(Plan, CopiesOfJsonFilesLeaveKeysOut) {
  write("home/.agent.json", R"({"theme":"dark","oauth":{"token":"secret"}})");
  Mount mount = mount_of("~/.agent.json");
  mount.copy = true;
  mount.except = {"oauth"};
  const auto planned = plan({mount});
  ASSERT_TRUE(planned) << planned.error().message;
  const auto path = sys::path_of(planned->plan.mounts[0].source.get());
  const auto text = sys::read_file(*path, 4096);
  ASSERT_TRUE(text);
  EXPECT_EQ(nlohmann::json::parse(*text), (nlohmann::json{{"theme", "dark"}}));
  write("home/.agent.json", "not json");
  EXPECT_FALSE(plan({mount}));
}

using Env = Scratch;
TEST_F(Env, HoldsTokensAndNothingOfTheHosts) {
  ::setenv("BULKHEAD_TEST_SECRET", "real-key", 1);
  ::setenv("BULKHEAD_TEST_OTHER", "private", 1);
  ::setenv("PATH", "/usr/bin:/nowhere/bin:/opt/tool/bin", 1);
  Policy policy;
  Credential credential;
  credential.name = "c";
  credential.source_value = credential.expose_env = "BULKHEAD_TEST_SECRET";
  policy.credentials.emplace("c", credential);
  policy.env.pass = {"BULKHEAD_TEST_SECRET"};  // even when asked for
  policy.env.set = {{"EXTRA", "1"}};
  TokenSlot slot;
  slot.credential = "c";
  slot.token = "token-1";
  const auto with = make_environment(policy, identity_, {slot}, {"/usr", "/opt/tool"});
  EXPECT_EQ(with.at("BULKHEAD_TEST_SECRET"), "token-1");
  EXPECT_FALSE(with.contains("BULKHEAD_TEST_OTHER"));
  EXPECT_EQ(with.at("EXTRA"), "1");
  EXPECT_TRUE(with.at("PATH").starts_with("/usr/bin:/opt/tool/bin:"));
  EXPECT_EQ(with.at("PATH").find("nowhere"), std::string::npos);
  EXPECT_EQ(with.at("SSL_CERT_FILE"), ca_bundle_path);
  const auto without = make_environment(policy, identity_, {}, {"/usr"});
  EXPECT_FALSE(without.contains("BULKHEAD_TEST_SECRET"));
}

TEST_F(Scratch, AReviewIsOfAFolderAndGetsALayerOfItsOwn) {
  write("home/project/file", "text");
  const auto planned = plan({mount_of(".", MountMode::review)});
  ASSERT_TRUE(planned) << planned.error().message;
  ASSERT_EQ(planned->reviews.size(), 1U);
  EXPECT_TRUE(planned->reviews.front().locked());
  EXPECT_EQ(planned->reviews.front().info().folder, root_ + "/home/project");
  ASSERT_TRUE(planned->plan.mounts.front().layers);
  EXPECT_TRUE(sys::is_directory(planned->reviews.front().path() + "/layers/upper"));
  EXPECT_EQ(planned->workspace, root_ + "/home/project");
  EXPECT_EQ(planned->workspace_mode, MountMode::review);

  const auto file = plan({mount_of("file", MountMode::review)});
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("needs a folder"), std::string::npos) << file.error().message;
  const auto state = plan({mount_of("~/.local", MountMode::review)});
  ASSERT_FALSE(state);
  EXPECT_NE(state.error().message.find("Bulkhead's own state"), std::string::npos) << state.error().message;
}

TEST(Report, StartLineSaysWhatIsOpen) {
  Policy policy;
  Planned planned;
  planned.workspace = "/w";
  EXPECT_EQ(start_line(policy, planned, {}),
            "native tier; /w is writable, control files (hooks, tasks, agents' settings) too; toolchains read-only; no "
            "network; no secrets");
  Grant grant;
  grant.hosts = {"api.example.com"};
  grant.credential = "example";
  policy.grants = {grant, grant};
  policy.profile = "claude";
  const std::string line = start_line(policy, planned, {"Landlock"});
  EXPECT_NE(line.find("network: api.example.com; tokens for: example; missing here: Landlock"), std::string::npos);
}

TEST(Report, DenialsAreCountedBoundedAndEscaped) {
  Denials denials;
  EXPECT_TRUE(denials.empty());
  denials.add(2, "GET https://a.example/\x1b[2J", "no grant", "[[grant]]\nhost = \"a.example\"");
  denials.add(1, "GET https://a.example/\x1b[2J", "no grant", "[[grant]]\nhost = \"a.example\"");
  const std::string text = denials.summary();
  EXPECT_TRUE(text.starts_with("denied 3 requests:"));
  EXPECT_NE(text.find("(3 times)"), std::string::npos);
  EXPECT_NE(text.find("add:"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  for (int i = 0; i < 1000; ++i) denials.add(1, "GET https://" + std::to_string(i), "no grant", "");
  EXPECT_TRUE(denials.summary().starts_with("denied 1003 requests:"));
  EXPECT_LT(denials.summary().size(), 4096U);
}

TEST(Limits, CountMemoryOfAWholeTree) {
  const std::uint64_t own = anonymous_memory(::getpid());
  EXPECT_GT(own, 100'000U);
  const std::vector<char> big(64U << 20, 'x');
  EXPECT_GT(anonymous_memory(::getpid()), own + (60U << 20));
  EXPECT_EQ(big.back(), 'x');
}

TEST(Limits, AlwaysBoundProcesses) {
  const auto limits = process_limits({});
  ASSERT_EQ(limits.size(), 1U);
  EXPECT_EQ(limits[0].hard, default_processes);
}

}  // namespace
}  // namespace bulkhead::session
