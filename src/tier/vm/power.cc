#include "tier/vm/power.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/sys.h"
#include "base/text.h"
#include "tier/vm/qmp.h"

namespace bulkhead::tier::vm {
namespace {

using nlohmann::json;

constexpr auto restore_patience = std::chrono::seconds(60);  // without KVM, on a busy machine

// A socket that listens, under a name of the kernel's own in this network namespace, and a connection to it.
Result<sys::Pair> rendezvous() {
  UniqueFd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  UniqueFd connected(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socklen_t size = sizeof name.sun_family;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (!listening || !connected || ::bind(listening.get(), address, size) != 0 || ::listen(listening.get(), 1) != 0) {
    return fail_errno("listen", "virtiofsd's socket", errno);
  }
  size = sizeof name;
  if (::getsockname(listening.get(), address, &size) != 0 || ::connect(connected.get(), address, size) != 0) {
    return fail_errno("connect", "virtiofsd's socket", errno);
  }
  return sys::Pair{std::move(listening), std::move(connected)};
}

// Nobody else's, and gone with who has it open.
Result<UniqueFd> new_memory(std::uint64_t bytes) {
  UniqueFd fd(::memfd_create("memory", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return fail_errno("memfd_create", "", errno);
  return fd;
}

struct On {
  Running running;
  UniqueFd memory, monitor;
};

Result<On> switch_on(const Machine& machine, How how, const Outside& outside) {
  On on;
  BH_TRY(on.memory, new_memory(machine.memory));
  BH_TRY(sys::Pair port, sys::socket_pair(SOCK_STREAM));
  BH_TRY(sys::Pair console, sys::socket_pair(SOCK_STREAM));
  Wiring wiring{.messages = outside.messages,
                .console = console.second.get(),
                .port = port.second.get(),
                .memory = on.memory.get(),
                .tap = outside.tap,
                .record = outside.record};
  sys::Pair files, monitor;
  if (how != How::saves) {
    BH_TRY(files, rendezvous());
    BH_TRY(on.running.virtiofsd, start_virtiofsd(outside.messages, files.first.get(), outside.set_group));
    wiring.files = files.second.get();
  }
  if (how != How::boots) {
    BH_TRY(monitor, sys::socket_pair(SOCK_STREAM));
    wiring.monitor = monitor.second.get();
    on.monitor = std::move(monitor.first);
  }
  BH_TRY(on.running.qemu, start_qemu(machine, wiring, how));
  on.running.console = std::move(console.first);
  on.running.port = std::move(port.first);
  BH_CHECK(sys::set_nonblocking(on.running.console.get(), true));
  return on;
}

// The memory is in its file already, and is not part of what QEMU writes or reads.
Result<void> leave_memory_out(Qmp& qmp) {
  const auto on = [](const char* name) { return json{{"capability", name}, {"state", true}}; };
  return qmp.run("migrate-set-capabilities", {{"capabilities", json::array({on("x-ignore-shared"), on("events")})}});
}

Result<void> await_migration(Qmp& qmp) {
  bool done = false;
  BH_CHECK(qmp.await([&](const std::string& event, const json& data) {
    if (event != "MIGRATION" || !data.is_object()) return false;
    const std::string status = data.value("status", "");
    done = status == "completed";
    return done || status == "failed";
  }));
  return done ? Result<void>() : fail("QEMU can't take its state");
}

Result<void> save_state(Qmp& qmp, int state) {
  BH_CHECK(qmp.await([](const std::string& event, const json& data) {
    return event == "VSERPORT_CHANGE" && data.is_object() && data.value("id", "") == port_id &&
           data.value("open", false);
  }));
  BH_CHECK(qmp.run("stop"));
  BH_CHECK(leave_memory_out(qmp));
  BH_CHECK(qmp.run("migrate-set-parameters", {{"max-bandwidth", std::uint64_t{1} << 40}}));
  BH_CHECK(qmp.run("getfd", {{"fdname", "state"}}, state));
  BH_CHECK(qmp.run("migrate", {{"uri", "fd:state"}}));
  return await_migration(qmp);
}

}  // namespace

Result<Running> boot(const Machine& machine, const Outside& outside) {
  BH_TRY(On on, switch_on(machine, How::boots, outside));
  return std::move(on.running);
}

Result<Running> restore(const Machine& machine, const Saved& saved, const Outside& outside) {
  BH_TRY(On on, switch_on(machine, How::restores, outside));
  // While QEMU starts.
  BH_TRY(const UniqueFd state, read_saved(saved, on.memory.get(), machine.memory));
  BH_TRY(Qmp qmp, Qmp::open(std::move(on.monitor), restore_patience));
  BH_CHECK(leave_memory_out(qmp));
  BH_CHECK(qmp.run("getfd", {{"fdname", "state"}}, state.get()));
  BH_CHECK(qmp.run("migrate-incoming", {{"uri", "fd:state"}}));
  BH_CHECK(await_migration(qmp));
  BH_CHECK(qmp.run("device_add", share_device()));
  // From now on it is hostile, and nobody listens to its monitor any more.
  BH_CHECK(qmp.run("cont"));
  return std::move(on.running);
}

Result<void> save(const Machine& machine, int folder, int messages, std::chrono::milliseconds patience) {
  BH_TRY(On on, switch_on(machine, How::saves, {.messages = messages}));
  UniqueFd state(::memfd_create("state", MFD_CLOEXEC));
  if (!state) return fail_errno("memfd_create", "", errno);
  BH_TRY(Qmp qmp, Qmp::open(std::move(on.monitor), patience));
  if (auto saved = save_state(qmp, state.get()); !saved) {
    return fail(saved.error().message + last_words(on.running.console.get()), saved.error().code);
  }
  on.running.qemu.kill_and_wait();
  return write_saved(folder, on.memory.get(), state.get());
}

std::string last_words(int console) {
  constexpr std::size_t kept = 4000;
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(console, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kept) text.erase(0, text.size() - kept);
  }
  // Of a panic the first line says why, and the rest may be missing.
  if (const std::size_t panic = text.find("Kernel panic"); panic != std::string::npos) {
    text.erase(0, panic);
    text.erase(std::min(text.find_first_of("\r\n"), text.size()));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const std::size_t at = text.find_last_of("\r\n");
  if (at != std::string::npos) text.erase(0, at + 1);
  return text.empty() ? "" : " (it said last: " + escape_for_terminal(text, 300) + ")";
}

}  // namespace bulkhead::tier::vm
