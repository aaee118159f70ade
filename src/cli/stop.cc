// bulkhead stop: ends sessions. The supervisor gets SIGTERM and ends its workload in order; one that doesn't within
// ten seconds is killed, and everything of its session dies with it.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "base/sys.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"

namespace bulkhead::cli {

namespace {

using session::SessionInfo;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{10};
constexpr std::chrono::seconds after_kill{5};

struct StopOptions {
  std::vector<std::string> ids;
  bool all = false;
};

// The live supervisor, held by descriptor: from here on its pid can't become another process's.
Result<UniqueFd> hold(const SessionInfo& s) {
  auto fd = sys::pidfd_open(s.pid);
  if (!fd && fd.error().code == ESRCH) return UniqueFd();
  if (!fd) return tl::unexpected(std::move(fd).error());
  // Checked after the descriptor is held: the lock says that the supervisor lives, the start time that this is it.
  const auto boot = sys::boot_id();
  const auto start = sys::process_start_time(s.pid);
  if (!boot || *boot != s.boot_id || !start || *start != s.pid_start_time) {
    return fail("session " + s.id + ": process " + std::to_string(s.pid) +
                " is not its supervisor (another machine or container shares this state directory?); stop it there");
  }
  return std::move(*fd);
}

bool ended_within(const SessionInfo& s, int pidfd, std::chrono::seconds limit) {
  const bool progress = ::isatty(2) == 1;
  const auto begin = Clock::now();
  bool shown = false, ended = false;
  for (;;) {
    pollfd p{pidfd, POLLIN, 0};
    ended = ::poll(&p, 1, 250) == 1;
    const auto waited = Clock::now() - begin;
    if (ended || waited >= limit) break;
    if (progress && waited >= std::chrono::seconds(1)) {
      shown = true;
      std::fprintf(stderr, "\rbulkhead: waiting for %s to end (%d s)", s.id.c_str(),
                   static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(waited).count()));
    }
  }
  if (shown) std::fputs("\n", stderr);
  return ended;
}

Result<void> stop(const SessionInfo& s) {
  BH_TRY(const UniqueFd supervisor, hold(s));
  if (!supervisor) return {};  // ended by itself meanwhile
  const auto gone = [](const Result<void>& sent) { return !sent && sent.error().code == ESRCH; };
  const auto asked = sys::pidfd_send_signal(supervisor.get(), SIGTERM);
  if (gone(asked)) return {};
  BH_CHECK(asked);
  if (ended_within(s, supervisor.get(), patience)) return {};
  complain("session " + s.id + " did not end within 10 seconds: killing it", 0);
  const auto killed = sys::pidfd_send_signal(supervisor.get(), SIGKILL);
  if (!gone(killed)) BH_CHECK(killed);
  if (ended_within(s, supervisor.get(), after_kill)) return {};
  return fail("session " + s.id + ": process " + std::to_string(s.pid) + " survived SIGKILL (stuck in the kernel?)");
}

Result<std::vector<SessionInfo>> choose(const StopOptions& options, const std::vector<SessionInfo>& running) {
  if (options.all) return running;
  std::vector<SessionInfo> chosen;
  for (const std::string& id : options.ids) {
    BH_TRY(SessionInfo one, find_session(running, id));
    chosen.push_back(std::move(one));
  }
  return chosen;
}

Result<void> stop_all(const StopOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(std::vector<SessionInfo> running, store.list());
  std::erase_if(running, [](const SessionInfo& s) { return !s.alive; });
  BH_TRY(const std::vector<SessionInfo> chosen, choose(options, running));
  Result<void> result;
  for (const SessionInfo& s : chosen) {
    auto stopped = stop(s);
    if (stopped) std::printf("%s\n", s.id.c_str());
    if (!stopped && result) result = std::move(stopped);  // the others are still stopped
  }
  BH_TRY(const std::vector<std::string> swept, store.sweep());  // what a killed one left
  return result;
}

}  // namespace

void add_stop(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("stop", "End sessions");
  const auto options = std::make_shared<StopOptions>();
  command->add_option("ID", options->ids, "Session id, or the beginning of one")->type_name("");
  command->add_flag("-a,--all", options->all, "All of yours");
  command->footer(
      "Returns when they are gone. A session that ignores SIGTERM for 10 seconds is killed.\n"
      "Prints the id of each session it ended.");
  command->callback([options, &invocation] {
    if (options->all == !options->ids.empty()) throw usage("name a session, or --all");
    invocation.action = [options] {
      const auto done = stop_all(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
