#include "session/state/probe.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/process.h"
#include "base/sys.h"
#include "session/state/probes.h"

namespace bulkhead::session {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds usual_patience{10};
constexpr std::size_t max_answer = 16 * 1024;

constexpr std::array table = {
    Probe{"userns", "user namespaces for this user", Kind::required, probe_userns},
    Probe{"bwrap", "bubblewrap 0.8 or newer, not setuid, working", Kind::required, probe_bwrap},
    Probe{"room", "a network namespace in which every address is local", Kind::required, probe_room},
    Probe{"seccomp", "seccomp filters", Kind::required, probe_seccomp},
    Probe{"seccomp-notify", "seccomp notification with descriptors", Kind::required, probe_seccomp_notify},
    Probe{"syscalls", "openat2, pidfd, close_range, memfd", Kind::required, probe_syscalls},
    Probe{"proc", "a fresh /proc in a pid namespace", Kind::required, probe_proc},
    Probe{"devpts", "pseudo-terminals, and a private devpts", Kind::required, probe_devpts},
    Probe{"idmap", "id-mapped mounts, when started as root", Kind::required, probe_idmap},
    Probe{"state-dir", "a private state directory whose file system reserves space", Kind::required, probe_state_dir},
    Probe{"overlay", "overlayfs in a user namespace (mode `review`)", Kind::useful, probe_overlay},
    Probe{"landlock", "Landlock ABI 6 or newer", Kind::useful, probe_landlock},
    Probe{"ipv6", "IPv6 inside the room", Kind::useful, probe_ipv6},
    Probe{"cgroup", "cgroup v2 scopes of the user's own (systemd)", Kind::useful, probe_cgroup},
    Probe{"core-pattern", "core dumps that don't start a program on the host", Kind::useful, probe_core_pattern},
    Probe{"yama", "ptrace restricted to descendants (Yama)", Kind::useful, probe_yama},
    Probe{"fuse", "FUSE in a user namespace (mode `rw-no-delete`)", Kind::useful, probe_fuse},
    Probe{"umoci", "umoci, which unpacks images", Kind::useful, probe_umoci},
    Probe{"runsc", "gVisor's runsc of 2024 or later (tier gvisor)", Kind::gvisor, probe_runsc},
    Probe{"qemu", "QEMU, virtiofsd and a kernel for its machines (tier vm)", Kind::vm, probe_qemu},
    Probe{"tun", "a tap device of this user's (tier vm)", Kind::vm, probe_tun},
    Probe{"kvm", "hardware virtualisation that is as fast as it should be (tier vm)", Kind::vm, probe_kvm},
};

nlohmann::json to_json(const Finding& f) {
  return {{"state", static_cast<int>(f.state)}, {"found", f.found}, {"costs", f.costs}, {"fix", f.fix}};
}

Finding finding_from(const std::string& text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) return {State::missing, "the check itself crashed", "", ""};
  return {static_cast<State>(object.value("state", 2)), object.value("found", ""), object.value("costs", ""),
          object.value("fix", "")};
}

struct Running {
  Child child;
  UniqueFd answer;
};

Result<Running> begin(const Probe& probe, const ProbeContext& context) {
  BH_TRY(sys::Pair pipe, sys::pipe());
  BH_TRY(Child child, fork_child({-1, pipe.second.get(), -1}, [&] {
           const std::string text =
               to_json(probe.run(context)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
           return sys::write_all(1, text, "pipe") ? 0 : 1;
         }));
  return Running{std::move(child), std::move(pipe.first)};
}

Finding collect(Running& running, Clock::time_point deadline, std::chrono::seconds patience) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd p{running.child.pidfd(), POLLIN, 0};  // its pipe may live on in a grandchild that hangs
  const bool ended = ::poll(&p, 1, static_cast<int>(std::max<long>(0, left))) == 1;
  running.child.kill_and_wait();
  if (!ended) return {State::missing, "no answer within " + std::to_string(patience.count()) + " seconds", "", ""};
  if (!sys::set_nonblocking(running.answer.get(), true)) return finding_from("");
  std::string text(max_answer, '\0');
  const ssize_t n = ::read(running.answer.get(), text.data(), text.size());
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return finding_from(text);
}

}  // namespace

std::span<const Probe> probes() {
  return table;
}

std::vector<ProbeResult> run_probes(const ProbeContext& context) {
  return run_probes(probes(), context, usual_patience);
}

std::vector<ProbeResult> run_probes(std::span<const Probe> which, const ProbeContext& context,
                                    std::chrono::seconds patience) {
  const auto deadline = Clock::now() + patience;
  std::vector<Result<Running>> running;
  for (const Probe& probe : which) running.push_back(begin(probe, context));
  std::vector<ProbeResult> results;
  for (std::size_t i = 0; i < which.size(); ++i) {
    Finding finding = running[i] ? collect(*running[i], deadline, patience)
                                 : Finding{State::missing, running[i].error().message, "", ""};
    results.push_back({&which[i], std::move(finding)});
  }
  return results;
}

bool usable(const std::vector<ProbeResult>& results) {
  for (const ProbeResult& result : results) {
    if (result.probe->kind == Kind::required && result.finding.state == State::missing) return false;
  }
  return true;
}

const char* name_of(State state) {
  switch (state) {
    case State::ok:
      return "ok";
    case State::degraded:
      return "degraded";
    case State::missing:
      return "missing";
  }
  return "?";
}

}  // namespace bulkhead::session
