#include "tier/vm/qmp.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "base/ipc.h"
#include "base/text.h"

namespace bulkhead::tier::vm {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t max_line = 1 << 20;

Result<json> nonsense() {
  return fail("QEMU's monitor said something that makes no sense");
}

const json& member(const json& object, const char* key) {
  static const json none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

}  // namespace

Result<Qmp> Qmp::open(UniqueFd monitor, std::chrono::milliseconds patience) {
  Qmp qmp(std::move(monitor), patience);
  BH_TRY(const json greeting, qmp.next(Clock::now() + patience));
  if (!greeting.contains("QMP")) return nonsense().map([&](const json&) { return std::move(qmp); });
  BH_CHECK(qmp.run("qmp_capabilities"));
  return qmp;
}

// A line is an object.
Result<json> Qmp::next(Clock::time_point late) {
  for (;;) {
    if (const std::size_t end = read_.find('\n'); end != std::string::npos) {
      json said = json::parse(read_.substr(0, end), nullptr, false);
      read_.erase(0, end + 1);
      if (!said.is_object()) return nonsense();
      return said;
    }
    if (read_.size() > max_line) return nonsense();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(late - Clock::now()).count();
    pollfd p{monitor_.get(), POLLIN, 0};
    const int ready = left > 0 ? ::poll(&p, 1, static_cast<int>(left)) : 0;
    if (ready == 0) return fail("QEMU does not answer", ETIMEDOUT);
    char buffer[4096];
    const ssize_t n = ready < 0 ? -1 : ::read(monitor_.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail("QEMU ended", EPIPE);
    read_.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<void> Qmp::run(const std::string& command, const json& arguments, int fd) {
  const std::string text = json({{"execute", command}, {"arguments", arguments}}).dump() + "\n";
  BH_CHECK(ipc::send(monitor_.get(), std::string_view(text),
                     fd >= 0 ? std::span<const int>(&fd, 1) : std::span<const int>()));
  for (const Clock::time_point late = Clock::now() + patience_;;) {
    BH_TRY(json said, next(late));
    if (said.contains("return")) return {};
    if (said.contains("error")) {
      return fail("QEMU refuses " + command + ": " + escape_for_terminal(text_of(member(said["error"], "desc")), 200));
    }
    events_.push_back(std::move(said));
  }
}

Result<void> Qmp::await(const IsIt& is_it) {
  for (const Clock::time_point late = Clock::now() + patience_;;) {
    for (const json& one : std::exchange(events_, {})) {
      if (is_it(text_of(member(one, "event")), member(one, "data"))) return {};
    }
    BH_TRY(json said, next(late));
    events_.push_back(std::move(said));
  }
}

}  // namespace bulkhead::tier::vm
