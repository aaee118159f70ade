// bulkhead-machine MEMORY PROCESSORS kvm|tcg GIVEN: runs a virtual machine and, inside it, one shim.
//
// MEMORY in bytes; GIVEN three digits, 1 where the shim has that standard descriptor. Descriptors: 2 messages, 3 the
// session's control socket, 4 the shim's lane (guest/protocol.h), 5, 6, 7 what is the shim's 0, 1, 2 if GIVEN, 8 the
// room's tap, 9 a file with the Boot (guest/boot.h), 10 with Boot::record where QEMU brings what the machine says of
// its processes: nobody here reads that. It is the first process of its pid namespace, so everything ends with it; its
// exit status is the shim's, or 125.
//
// What comes out of the machine is hostile: the frames of its stream (guest/mux.h) and what its first program says. It
// is looked at without any privilege and without files.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>

#include "base/confine.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "guest/boot.h"
#include "guest/mux.h"
#include "tier/vm/qemu.h"

namespace bulkhead::tier::vm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int messages_fd = 2, control_fd = 3, lane_fd = 4, first_given_fd = 5, tap_fd = 8, boot_fd = 9, record_fd = 10;
constexpr int failed = 125;
constexpr auto patience = std::chrono::minutes(3);  // without KVM, on a busy machine
constexpr std::size_t console_kept = 4000;

struct Arguments {
  Machine machine;
  bool given[3] = {};
};

std::optional<Arguments> arguments_from(int argc, char** argv) {
  Arguments out;
  if (argc != 5) return std::nullopt;
  const auto number = [](const std::string& text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  };
  const std::string accelerator = argv[3], given = argv[4];
  if (!number(argv[1], out.machine.memory) || !number(argv[2], out.machine.processors) || given.size() != 3) {
    return std::nullopt;
  }
  out.machine.kvm = accelerator == "kvm";
  for (std::size_t i = 0; i < 3; ++i) out.given[i] = given[i] == '1';
  return out;
}

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

class Host {
 public:
  Result<int> run(const Arguments& wanted) {
    BH_TRY(const std::string text, sys::read_all(UniqueFd(boot_fd).get(), shim::max_boot, "the machine's Boot"));
    BH_TRY(boot_, shim::decode_boot(text));
    boot_.files = most_files();
    BH_CHECK(begin(wanted));
    std::copy(std::begin(wanted.given), std::end(wanted.given), given_);
    BH_CHECK(open_talk());
    BH_CHECK(confine(Role::relay));
    return loop();
  }

 private:
  Result<void> begin(const Arguments& wanted) {
    BH_TRY(sys::Pair files, rendezvous());
    BH_TRY(sys::Pair port, sys::socket_pair(SOCK_STREAM));
    BH_TRY(sys::Pair console, sys::socket_pair(SOCK_STREAM));
    BH_TRY(virtiofsd_, start_virtiofsd(messages_fd, files.first.get()));
    BH_TRY(qemu_, start_qemu(wanted.machine, console.second.get(), messages_fd, port.second.get(), tap_fd,
                             files.second.get(), boot_.record ? record_fd : -1));
    ::close(tap_fd);
    ::close(record_fd);
    console_ = std::move(console.first);
    BH_CHECK(sys::set_nonblocking(console_.get(), true));
    mux_.emplace(std::move(port.first));
    return {};
  }

  Result<void> open_talk() {
    BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
    talk_ = std::move(pair.first);
    shim::Ends ends;
    ends[shim::control] = std::move(pair.second);
    return mux_->open(std::move(ends));
  }

  Result<void> open_shim() {
    shim::Ends ends;
    ends[shim::control].reset(control_fd);
    ends[shim::terminal].reset(lane_fd);
    const shim::Channel channels[] = {shim::input, shim::output, shim::errors};
    for (int i = 0; i < 3; ++i) {
      if (given_[i]) ends[channels[i]].reset(first_given_fd + i);
    }
    opened_ = true;
    return mux_->open(std::move(ends));
  }

  Result<int> loop() {
    const Clock::time_point late = Clock::now() + patience;
    for (;;) {
      std::vector<pollfd> fds;
      mux_->prepare(fds);
      const std::size_t muxed = fds.size();
      fds.push_back({talk_.get(), POLLIN, 0});
      fds.push_back({console_.get(), POLLIN, 0});
      fds.push_back({qemu_.pidfd(), POLLIN, 0});
      fds.push_back({virtiofsd_.pidfd(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), opened_ ? -1 : 1000) < 0 && errno != EINTR)
        return fail_errno("poll", "", errno);
      const std::vector<pollfd> others(fds.begin() + static_cast<std::ptrdiff_t>(muxed), fds.end());
      fds.resize(muxed);
      if (others[1].revents != 0) read_console();
      auto handled = mux_->handle(fds);
      if (others[0].revents != 0) {
        if (auto heard = hear(); !heard && handled) handled = std::move(heard);
      }
      // The shim is over, and all it wrote has gone on.
      if (opened_ && mux_->commands() <= 1 && status_) return *status_;
      if (!handled || others[2].revents != 0) return ended("the virtual machine", handled);
      if (others[3].revents != 0) return ended("virtiofsd", handled);
      if (!opened_ && Clock::now() > late) return fail("the virtual machine does not boot" + last_words());
    }
  }

  Result<int> ended(const std::string& what, const Result<void>& handled) {
    read_console();
    if (status_) return *status_;
    return fail(what + " ended" + (handled || handled.error().code == EPIPE ? "" : ": " + handled.error().message) +
                last_words());
  }

  Result<void> hear() {
    BH_TRY(const ipc::Message message, ipc::receive(talk_.get()));
    if (message.closed) {
      talk_.reset();
      return {};
    }
    BH_TRY(const shim::FromInit said, shim::decode_from_init(message.text));
    if (const auto* broken = std::get_if<shim::Broken>(&said)) return fail(broken->text);
    if (const auto* over = std::get_if<shim::Over>(&said)) {
      status_ = over->status;
      return {};
    }
    if (std::get_if<shim::Booted>(&said) != nullptr) {
      return opened_ ? fail("the machine's first program said something at the wrong time") : open_shim();
    }
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    boot_.time = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    BH_TRY(const std::string text, shim::encode(boot_));
    return ipc::send(talk_.get(), std::string_view(text));
  }

  void read_console() {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(console_.get(), buffer, sizeof buffer)) > 0;) {
      said_.append(buffer, static_cast<std::size_t>(n));
      if (said_.size() > console_kept) said_.erase(0, said_.size() - console_kept);
    }
  }

  std::string last_words() const {
    std::string text = said_;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    const std::size_t at = text.find_last_of("\r\n");
    if (at != std::string::npos) text.erase(0, at + 1);
    return text.empty() ? "" : " (it said last: " + escape_for_terminal(text, 300) + ")";
  }

  shim::Boot boot_;
  bool given_[3] = {}, opened_ = false;
  Child virtiofsd_, qemu_;
  UniqueFd talk_, console_;
  std::optional<shim::Mux> mux_;
  std::optional<int> status_;
  std::string said_;
};

}  // namespace
}  // namespace bulkhead::tier::vm

int main(int argc, char** argv) {
  using namespace bulkhead;
  (void)::signal(SIGPIPE, SIG_IGN);
  const auto wanted = tier::vm::arguments_from(argc, argv);
  if (!wanted) return tier::vm::failed;
  tier::vm::Host host;
  const auto status = host.run(*wanted);
  if (!status) ::dprintf(tier::vm::messages_fd, "%s\n", escape_for_terminal(status.error().message, 600).c_str());
  std::fflush(nullptr);
  ::_exit(status ? *status : tier::vm::failed);
}
