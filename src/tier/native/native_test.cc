#include "tier/native/native.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/sys.h"
#include "guest/protocol.h"
#include "tier/native/arguments.h"

namespace bulkhead::tier::native {
namespace {

Plan small_plan() {
  Plan plan;
  plan.uid = ::getuid();
  plan.gid = ::getgid();
  plan.system.push_back({std::move(*sys::open("/usr", O_PATH)), "/usr", MountMode::ro, "/usr", std::nullopt});
  for (const char* name : {"bin", "lib", "lib64", "sbin"}) {
    plan.links.push_back({std::string("/") + name, std::string("usr/") + name});
  }
  plan.tmpfs = {"/tmp", "/run", "/var"};
  plan.files.push_back({"/etc/hostname", "inside\n", UniqueFd()});
  return plan;
}

class Native : public testing::Test {
 protected:
  void SetUp() override {
    auto pending = room::begin(sys::open(BULKHEAD_BIN "/bulkhead-holder", O_PATH)->get());
    ASSERT_TRUE(pending);
    ASSERT_TRUE(room::furnish(*pending, {80}));
    auto opened = room::finish(std::move(*pending));
    ASSERT_TRUE(opened) << opened.error().message;
    room_ = std::move(*opened);
    auto isolation = open_with(BULKHEAD_BIN "/bulkhead-shim");
    ASSERT_TRUE(isolation) << isolation.error().message;
    isolation_ = std::move(*isolation);
  }

  // Runs `script` in the plan; its output, or why it did not run.
  std::string run(const Plan& plan, const std::string& script, int& code) {
    auto out = sys::pipe();
    const int stdio[3] = {-1, out->second.get(), out->second.get()};
    auto started = isolation_->start(plan, room_, stdio);
    if (!started) return started.error().message;
    out->second.reset();
    shim::Setup setup;
    setup.arguments = {"sh", "-c", script};
    setup.environment = {"PATH=/usr/bin:/bin"};
    setup.uid = plan.uid;
    setup.gid = plan.gid;
    setup.rules = {{"/", shim::Access::run}, {"/tmp", shim::Access::full}, {"/dev", shim::Access::write}};
    const auto datagrams = shim::encode(setup);
    for (const std::string& datagram : *datagrams) {
      EXPECT_TRUE(ipc::send(started->control.get(), std::string_view(datagram)));
    }
    EXPECT_TRUE(ipc::send(started->control.get(), std::string_view(shim::encode(shim::Go{}))));
    // Without a pty the shim awaits no Finish: it ends with the workload, and its socket with it.
    bool exited = false;
    for (;;) {
      auto message = ipc::receive(started->control.get());
      if (!message || message->closed) break;
      const auto decoded = shim::decode_to_supervisor(message->text);
      exited = exited || (decoded && std::holds_alternative<shim::Exited>(*decoded));
    }
    EXPECT_TRUE(exited);
    auto text = sys::read_all(out->first.get(), 1U << 20, "output");
    code = started->process.wait()->shell();
    return text ? *text : text.error().message;
  }

  room::Room room_;
  std::unique_ptr<Isolation> isolation_;
};

TEST_F(Native, RunsACommandAndReportsItsStatus) {
  int code = -1;
  EXPECT_EQ(run(small_plan(), "echo hello; cat /etc/hostname; exit 7", code), "hello\ninside\n");
  EXPECT_EQ(code, 7);
}

TEST_F(Native, ShowsOnlyThePlan) {
  int code = -1;
  const std::string seen =
      run(small_plan(), "ls /; ls /home /root /work 2>/dev/null; touch /x /etc/x /usr/x 2>/dev/null", code);
  EXPECT_EQ(seen, "bin\ndev\netc\nlib\nlib64\nproc\nrun\nsbin\ntmp\nusr\nvar\n");
  EXPECT_NE(code, 0);
}

TEST_F(Native, SysctlsAreReadOnlyAndPid1TellsNothing) {
  int code = -1;
  EXPECT_EQ(run(small_plan(), "echo x > /proc/sys/kernel/core_pattern", code).substr(0, 3), "sh:");
  EXPECT_NE(code, 0);
  const std::string pid1 = run(small_plan(), "tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/environ", code);
  EXPECT_EQ(pid1.find("/usr"), std::string::npos) << pid1;
}

TEST_F(Native, MountsByDescriptorWhateverTheNameMeansLater) {
  char where[] = "/tmp/bulkhead-native-test-XXXXXX";
  ASSERT_NE(::mkdtemp(where), nullptr);
  const std::string root = where;
  ASSERT_TRUE(sys::make_directories(root + "/judged", 0700));
  ASSERT_TRUE(sys::make_directories(root + "/secret", 0700));
  ASSERT_TRUE(sys::write_file_atomically(root + "/judged/file", "judged", 0600));
  ASSERT_TRUE(sys::write_file_atomically(root + "/secret/file", "secret", 0600));
  Plan plan = small_plan();
  plan.mounts.push_back({std::move(*sys::open(root + "/judged", O_PATH)), "/mnt/w", MountMode::rw, "w", std::nullopt});
  ASSERT_EQ(::rename((root + "/judged").c_str(), (root + "/moved").c_str()), 0);
  ASSERT_EQ(::symlink((root + "/secret").c_str(), (root + "/judged").c_str()), 0);
  int code = -1;
  EXPECT_EQ(run(plan, "cat /mnt/w/file", code), "judged");
  EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root));
}

// A mode it does not accept is refused; one that it accepts and does not enforce would be shown as it is.
TEST(Accepts, EveryMode) {
  auto isolation = open_with(BULKHEAD_BIN "/bulkhead-shim");
  ASSERT_TRUE(isolation);
  Policy policy;
  for (const MountMode mode : {MountMode::ro, MountMode::rw, MountMode::rw_no_delete, MountMode::review}) {
    policy.mounts.emplace_back().mode = mode;
  }
  EXPECT_TRUE((*isolation)->accepts(policy));
}

}  // namespace
}  // namespace bulkhead::tier::native
