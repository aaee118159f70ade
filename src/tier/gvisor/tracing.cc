#include "tier/gvisor/tracing.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/ipc.h"

namespace bulkhead::tier::gvisor {
namespace {

using nlohmann::json;

constexpr const char* socket_path = "/tracing/socket";

json point(const std::string& name, const std::vector<std::string>& more = {},
           const std::vector<std::string>& optional = {}) {
  json context = json::array({"thread_id", "group_id"});
  for (const std::string& field : more) context.push_back(field);
  return {{"name", name}, {"context_fields", context}, {"optional_fields", optional}};
}

std::string call(long number, const char* when) {
  return "syscall/sysno/" + std::to_string(number) + "/" + when;
}

}  // namespace

json tracing_configuration() {
  const json points = json::array({
      point("sentry/clone"),
      point("sentry/execve"),
      // These say that a program runs where the one above could not. Who calls is missing from the second where the
      // first is not asked for, too.
      point(call(SYS_execve, "enter")),
      point(call(SYS_execve, "exit")),
      point(call(SYS_execveat, "enter")),
      point(call(SYS_execveat, "exit")),
      point("sentry/exit_notify_parent"),
      point("syscall/openat/exit", {"cwd"}, {"fd_path"}),
#ifdef SYS_open
      point("syscall/open/exit", {"cwd"}),
      point("syscall/creat/exit", {"cwd"}),
#endif
      point("syscall/connect/exit"),
  });
  // Whoever tells more than is read waits, each time for up to a second or so, before anything is left out.
  const json sink = {{"name", "remote"},
                     {"config", {{"endpoint", socket_path}, {"retries", 200}, {"backoff_max", "5ms"}}}};
  return {{"trace_session", {{"name", "Default"}, {"points", points}, {"sinks", json::array({sink})}}}};
}

Result<void> prepare_tracing(Stage& stage, const UniqueFd& tracing) {
  BH_CHECK(stage.folder(tracing_folder));
  BH_CHECK(stage.file(tracing_file, tracing_configuration().dump()));
  const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listener) return fail_errno("socket", socket_path, errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = std::string(stage_path) + socket_path;
  std::memcpy(static_cast<char*>(address.sun_path), path.c_str(), path.size() + 1);
  static_assert(sizeof address.sun_path > 64);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("bind", socket_path, errno);
  }
  if (::listen(listener.get(), 1) != 0) return fail_errno("listen", socket_path, errno);
  const int sent = listener.get();
  return ipc::send(tracing.get(), std::string_view("."), std::span(&sent, 1));
}

}  // namespace bulkhead::tier::gvisor
