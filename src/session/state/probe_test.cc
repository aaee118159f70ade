#include "session/state/probe.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "base/sys.h"
#include "session/state/probes.h"

namespace bulkhead::session {
namespace {

ProbeContext context() {
  ProbeContext c;
  const char* home = std::getenv("HOME");
  c.paths = *Paths::from(
      {.home = home != nullptr ? home : "/tmp", .xdg_state_home = "", .xdg_config_home = "", .xdg_runtime_dir = ""});
  c.root = ::geteuid() == 0;
  return c;
}

TEST(Userns, ExplainsWhyNot) {
  const auto reason = [](const UsernsFacts& facts) { return userns_reason(facts); };
  UsernsFacts facts{.step = "unshare",
                    .code = EPERM,
                    .unprivileged_clone = "0",
                    .max_user_namespaces = "100",
                    .apparmor_restrict = "",
                    .container = false,
                    .chroot = false};
  EXPECT_NE(reason(facts).fix.find("kernel.unprivileged_userns_clone=1"), std::string::npos);
  EXPECT_EQ(reason(facts).state, State::missing);

  facts.unprivileged_clone = "1";
  facts.max_user_namespaces = "0";
  EXPECT_NE(reason(facts).fix.find("user.max_user_namespaces="), std::string::npos);

  facts.max_user_namespaces = "100";
  facts.apparmor_restrict = "1";
  facts.step = "mount";
  EXPECT_NE(reason(facts).found.find("AppArmor"), std::string::npos);
  EXPECT_NE(reason(facts).fix.find("packaging/apparmor"), std::string::npos);
  EXPECT_NE(reason(facts).found.find("EPERM"), std::string::npos) << "the call itself stays visible";

  facts.apparmor_restrict = "0";
  facts.container = true;
  EXPECT_NE(reason(facts).fix.find("--security-opt"), std::string::npos);

  facts.container = false;
  facts.chroot = true;
  EXPECT_NE(reason(facts).found.find("chroot"), std::string::npos);

  facts.chroot = false;
  facts.code = ENOSPC;
  EXPECT_NE(reason(facts).found.find("in use"), std::string::npos);
  facts.code = EINVAL;
  EXPECT_NE(reason(facts).fix.find("CONFIG_USER_NS"), std::string::npos);
}

TEST(Bwrap, JudgesVersions) {
  EXPECT_EQ(judge_bwrap_version("bubblewrap 0.8.0").state, State::ok);
  EXPECT_EQ(judge_bwrap_version("bubblewrap 0.11.0").state, State::ok);
  EXPECT_EQ(judge_bwrap_version("bubblewrap 1.0").state, State::ok);
  EXPECT_EQ(judge_bwrap_version("bubblewrap 0.4.1").state, State::missing);
  EXPECT_EQ(judge_bwrap_version("").state, State::missing);
}

Finding hangs(const ProbeContext&) {
  for (;;) ::pause();
}
Finding crashes(const ProbeContext&) {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::kill(::getpid(), SIGKILL);
  return {};
}
Finding fine(const ProbeContext&) {
  return {State::degraded, "a\xff", "b", "c"};
}

TEST(Probes, AHangOrACrashIsAFindingAndCostsTheOthersNothing) {
  const Probe some[] = {
      {"h", "h", Kind::useful, hangs}, {"c", "c", Kind::useful, crashes}, {"f", "f", Kind::useful, fine}};
  const auto before = std::chrono::steady_clock::now();
  const auto results = run_probes(some, context(), std::chrono::seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(4));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].finding.state, State::missing);
  EXPECT_NE(results[0].finding.found.find("within 1 seconds"), std::string::npos);
  EXPECT_EQ(results[1].finding.state, State::missing);
  EXPECT_EQ(results[2].finding.state, State::degraded);
  EXPECT_EQ(results[2].finding.costs, "b");
}

TEST(Probes, OnlyARequiredOneMakesTheTierUnusable) {
  const Probe required{"r", "", Kind::required, fine}, useful{"u", "", Kind::useful, fine};
  EXPECT_FALSE(usable({{&required, {State::missing, "", "", ""}}}));
  EXPECT_TRUE(usable({{&required, {State::degraded, "", "", ""}}, {&useful, {State::missing, "", "", ""}}}));
}

TEST(Probes, AllAnswerQuicklyAndLeaveNothing) {
  const auto self = [] { return *sys::read_link("/proc/self/ns/user") + *sys::read_link("/proc/self/ns/mnt"); };
  const std::string before_namespaces = self();
  const std::string before_mounts = *sys::read_file("/proc/self/mountinfo", 1 << 22);
  const auto results = run_probes(context());
  EXPECT_EQ(results.size(), probes().size());
  for (const ProbeResult& r : results) {
    EXPECT_FALSE(r.finding.found.empty()) << r.probe->id;
    EXPECT_EQ(r.finding.found.find("crashed"), std::string::npos) << r.probe->id;
    EXPECT_EQ(r.finding.found.find("2 seconds"), std::string::npos) << r.probe->id;
  }
  EXPECT_EQ(self(), before_namespaces);
  EXPECT_EQ(*sys::read_file("/proc/self/mountinfo", 1 << 22), before_mounts);
}

// The probe must really depend on the primitive: with none left to make, it says so.
TEST(Probes, SeesThatUserNamespacesAreUsedUp) {
  static constexpr auto inner = [](const ProbeContext& c) -> Finding {
    // In a namespace of our own the limit can be set without touching the machine's.
    if (!enter_user_namespace(0, true)) return {State::ok, "skip", "", ""};
    const auto limit = sys::open("/proc/sys/user/max_user_namespaces", O_WRONLY);
    if (!limit || !sys::write_all(limit->get(), "0", "limit")) return {State::ok, "skip", "", ""};
    return probe_userns(c);
  };
  const Probe some[] = {{"x", "", Kind::required, inner}};
  const Finding finding = run_probes(some, context(), std::chrono::seconds(10))[0].finding;
  if (finding.found == "skip") GTEST_SKIP() << "no user namespaces here at all";
  EXPECT_EQ(finding.state, State::missing);
  EXPECT_NE(finding.found.find("max_user_namespaces"), std::string::npos) << finding.found;
}

}  // namespace
}  // namespace bulkhead::session
