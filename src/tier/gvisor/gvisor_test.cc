#include "tier/gvisor/gvisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sys.h"
#include "tier/gvisor/bundle.h"
#include "tier/gvisor/find.h"
#include "tier/gvisor/memory.h"
#include "tier/gvisor/tracing.h"

namespace bulkhead::tier::gvisor {
namespace {

using nlohmann::json;

PlannedMount mount(const std::string& target, MountMode mode) {
  return {std::move(*sys::open("/usr", O_PATH)), target, mode, "somewhere", std::nullopt};
}

Plan small_plan() {
  Plan plan;
  plan.tmpfs = {"/tmp", "/home/me"};
  plan.system.push_back(mount("/usr", MountMode::ro));
  plan.system.push_back(mount("/home/me/.local/bin", MountMode::ro));
  plan.links.push_back({"/bin", "usr/bin"});
  plan.links.push_back({"/tmp/link", "/run"});
  plan.mounts.push_back(mount("/work/project", MountMode::rw));
  plan.mounts.push_back(mount("/work/shown", MountMode::ro));
  return plan;
}

json mount_at(const json& configuration, const std::string& target) {
  for (const json& one : configuration["mounts"]) {
    if (one["destination"] == target) return one;
  }
  return nullptr;
}

bool has_option(const json& one, const std::string& option) {
  const auto options = one["options"].get<std::vector<std::string>>();
  return std::ranges::find(options, option) != options.end();
}

TEST(Bundle, GivesNothingThatThePlanDoesNot) {
  const json out = configuration(small_plan(), {"/shim", "3"});
  EXPECT_EQ(out["process"]["args"], (json{"/shim", "3"}));
  EXPECT_TRUE(out["process"]["env"].empty());
  EXPECT_TRUE(out["process"]["noNewPrivileges"]);
  for (const char* set : {"bounding", "effective", "permitted", "inheritable", "ambient"}) {
    EXPECT_TRUE(out["process"]["capabilities"][set].is_array() && out["process"]["capabilities"][set].empty()) << set;
  }
  EXPECT_TRUE(out["root"]["readonly"]);
  bool network = false;
  for (const json& one : out["linux"]["namespaces"]) network = network || one["type"] == "network";
  EXPECT_TRUE(network) << "without it runsc would make one that leads nowhere";
}

TEST(Bundle, MountsWhatIsNotInTheRoot) {
  Plan plan = small_plan();
  plan.limits.tmp = 4096;
  const json out = configuration(plan, {"/shim"});
  EXPECT_EQ(mount_at(out, "/usr"), nullptr) << "part of the root";
  EXPECT_TRUE(has_option(mount_at(out, "/home/me/.local/bin"), "ro"));
  EXPECT_TRUE(has_option(mount_at(out, "/work/project"), "rw"));
  EXPECT_TRUE(has_option(mount_at(out, "/work/shown"), "ro"));
  for (const char* folder : {"/tmp", "/home/me", "/dev/shm"}) {
    EXPECT_EQ(mount_at(out, folder)["type"], "tmpfs") << folder;
    EXPECT_TRUE(has_option(mount_at(out, folder), "size=4096")) << folder;
  }
  const auto links = links_inside(plan);
  ASSERT_EQ(links.size(), 1U);
  EXPECT_EQ(links[0].target, "/tmp/link");
}

TEST(Find, ReadsTheDateOfAVersion) {
  EXPECT_EQ(date_in("runsc version 0.0~20240729.0\nspec: 1.2.0\n"), 20240729);
  EXPECT_EQ(date_in("runsc version release-20260105.0\n"), 20260105);
  EXPECT_EQ(date_in("runsc version 0.0~20221219.0\n"), 20221219);
  for (const char* none : {"", "runsc version VERSION_MISSING", "20", "spec: 1.2.0 20a40729"}) {
    EXPECT_EQ(date_in(none), 0) << none;
  }
}

TEST(Memory, CountsTheSentrysFileOnce) {
  const UniqueFd file(::memfd_create("runsc-memory", MFD_CLOEXEC));
  ASSERT_TRUE(file);
  const std::uint64_t before = application_memory(::getpid());
  ASSERT_TRUE(sys::write_all(file.get(), std::string(1U << 20, 'x'), "memory"));
  const auto again = sys::duplicate(file.get());
  ASSERT_TRUE(again);
  EXPECT_EQ(application_memory(::getpid()) - before, 1U << 20);
}

class Accepts : public testing::Test {
 protected:
  void SetUp() override {
    if (auto runsc = find_runsc(); !runsc) GTEST_SKIP() << runsc.error().message;
    auto opened = open_with("/bin/true");
    ASSERT_TRUE(opened) << opened.error().message;
    isolation_ = std::move(*opened);
  }
  std::unique_ptr<Isolation> isolation_;
};

TEST_F(Accepts, ModesThatTheHostsKernelEnforces) {
  Policy policy;
  for (const MountMode mode : {MountMode::ro, MountMode::rw, MountMode::review})
    policy.mounts.emplace_back().mode = mode;
  EXPECT_TRUE(isolation_->accepts(policy));
}

TEST_F(Accepts, NothingThatItCanNotEnforce) {
  Policy kept;
  kept.mounts.emplace_back().mode = MountMode::rw_no_delete;
  const auto refused = isolation_->accepts(kept);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("rw-no-delete"), std::string::npos);
  Policy guarded;
  guarded.mounts.emplace_back().protect = true;
  guarded.mounts.back().mode = MountMode::rw;
  EXPECT_FALSE(isolation_->accepts(guarded));
}

TEST(Tracing, AsksForNoEnvironmentAndGoesToItsOwnSocket) {
  const json session = tracing_configuration()["trace_session"];
  for (const json& point : session["points"]) {
    for (const json& field : point["optional_fields"]) EXPECT_EQ(field, "fd_path") << point["name"];
    for (const json& field : point["context_fields"]) {
      EXPECT_TRUE(field == "thread_id" || field == "group_id" || field == "cwd") << point["name"];
    }
  }
  ASSERT_EQ(session["sinks"].size(), 1U);
  EXPECT_FALSE(session["sinks"][0].contains("ignore_setup_error")) << "no sink, no session";
  EXPECT_TRUE(session["sinks"][0]["config"]["endpoint"].get<std::string>().starts_with(tracing_folder));
}

}  // namespace
}  // namespace bulkhead::tier::gvisor
