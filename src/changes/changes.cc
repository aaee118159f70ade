#include "changes/changes.h"

#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "changes/gather.h"
#include "changes/watcher.h"

namespace bulkhead::changes {
namespace {

using Clock = Gather::Clock;

constexpr std::size_t usual_watches = 8192;  // fs.inotify.max_user_watches of kernels before 5.11
constexpr std::chrono::milliseconds turn{20}, last_looks{500};

std::size_t allowed_watches() {
  std::size_t most = usual_watches;
  if (const auto text = sys::read_file("/proc/sys/fs/inotify/max_user_watches", 64)) {
    (void)std::from_chars(text->data(), text->data() + text->size(), most);
  }
  return std::clamp<std::size_t>(most / 2, 1, most_watches);
}

// False: the supervisor is gone.
bool look_while(Watcher& watcher, int supervisor, Clock::time_point until) {
  while (watcher.busy() && Clock::now() < until) {
    watcher.look();
    watcher.hear();
  }
  pollfd p{supervisor, POLLIN, 0};
  return ::poll(&p, 1, 0) <= 0;
}

}  // namespace

Result<void> serve(int supervisor, std::vector<Mount> mounts, evidence::Recorder recorder) {
  std::vector<std::string> targets;
  for (const Mount& mount : mounts) targets.push_back(mount.target);
  Gather gather(
      std::move(targets), [&](const evidence::Event& event) { return recorder.record(event); }, {}, Clock::now());
  const auto tell = [&](std::string_view reason) {
    (void)ipc::send(supervisor, nlohmann::json{{"type", "unseen"}, {"reason", reason}});
  };
  Watcher watcher(mounts, allowed_watches(), gather, tell);
  mounts.clear();
  BH_CHECK(confine(Role::changes, watcher.folders()));
  // Nothing of the session runs before all of it is watched, or it would take too long.
  bool there = look_while(watcher, supervisor, Clock::now() + patience);
  if (there) BH_CHECK(ipc::send(supervisor, nlohmann::json{{"type", "ready"}}));
  while (there) {
    const Clock::time_point now = Clock::now();
    int timeout = -1;
    if (gather.due()) {
      timeout = static_cast<int>(
          std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(*gather.due() - now).count()));
    }
    pollfd fds[] = {{watcher.events(), POLLIN, 0}, {supervisor, POLLIN, 0}};
    if (::poll(fds, 2, watcher.busy() ? 0 : timeout) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    there = fds[1].revents == 0;
    watcher.hear();
    if (watcher.busy()) there = look_while(watcher, supervisor, Clock::now() + turn) && there;
    if (gather.due() && Clock::now() >= *gather.due()) {
      watcher.settle();
      BH_CHECK(gather.flush(Clock::now()));
    }
  }
  // Who wrote has ended: what it did has been told of.
  watcher.hear();
  (void)look_while(watcher, supervisor, Clock::now() + last_looks);
  watcher.settle();
  return gather.flush(Clock::now());
}

}  // namespace bulkhead::changes
