// bulkhead-machine MEMORY PROCESSORS kvm|tcg GIVEN boot|save|restore MAP PAGES STATE: runs a virtual machine and,
// inside it, one shim.
//
// MEMORY in bytes; GIVEN three digits, 1 where the shim has that standard descriptor; the last three, with restore, the
// SHA-256 of what is in /saved (saved.h). With save the machine is saved there first, and then gone on from.
// Descriptors: 2 messages, 3 the session's control socket, 4 the shim's lane (guest/protocol.h), 5, 6, 7 what is the
// shim's 0, 1, 2 if GIVEN, 8 the room's tap, 9 a file with the Boot (guest/boot.h), 10 with Boot::record where QEMU
// brings what the machine says of its processes: nobody here reads that. It is the first process of its pid namespace,
// so everything ends with it; its exit status is the shim's, or 125.
//
// What comes out of the machine is hostile: the frames of its stream (guest/mux.h) and what its first program says. It
// is looked at without any privilege and without files; but for its first word, which comes before anything of the
// session is in it: where there is none it is switched on again, which takes both.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
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
#include "policy/digest.h"
#include "tier/tier.h"
#include "tier/vm/power.h"
#include "tier/vm/saved.h"

namespace bulkhead::tier::vm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int messages_fd = 2, control_fd = 3, lane_fd = 4, first_given_fd = 5, tap_fd = 8, boot_fd = 9, record_fd = 10;
constexpr int failed = 125;
// Without KVM, on a busy machine, from the beginning; less than the supervisor waits, which does not know what the
// machine said.
constexpr auto patience = std::chrono::seconds(170);
constexpr auto first_word = std::chrono::seconds(30);
// One in some hundreds that are emulated says nothing, not even on its console. After this it is switched on again,
// once.
constexpr auto silent_boot = std::chrono::seconds(40);
constexpr std::uint64_t max_saved = 1ULL << 40;

struct Arguments {
  Machine machine;
  bool given[3] = {};
  How how = How::boots;
  std::string digests[3];
  bool set_group = false;
};

std::optional<Arguments> arguments_from(int argc, char** argv) {
  Arguments out;
  if (argc != 10) return std::nullopt;
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
  const std::string how = argv[5];
  out.how = how == "save" ? How::saves : how == "restore" ? How::restores : How::boots;
  for (std::size_t i = 0; i < 3; ++i) out.digests[i] = argv[6 + i];
  out.set_group = std::string_view(argv[9]) == "set-group";
  return out;
}

class Host {
 public:
  Result<int> run(const Arguments& wanted) {
    BH_TRY(const std::string text, sys::read_all(UniqueFd(boot_fd).get(), shim::max_boot, "the machine's Boot"));
    BH_TRY(boot_, shim::decode_boot(text));
    boot_.files = most_files();
    std::copy(std::begin(wanted.given), std::end(wanted.given), given_);
    BH_CHECK(begin(wanted));
    BH_CHECK(confine(Role::relay));
    return loop();
  }

 private:
  // Whatever is wrong with a saved machine, one that boots is right.
  Result<void> begin(const Arguments& wanted) {
    const UniqueFd tap(tap_fd), record(boot_.record ? record_fd : -1);
    const Outside outside{messages_fd, tap.get(), record.get(), wanted.set_group};
    if (wanted.how == How::boots) return boot_up(wanted.machine, outside);
    auto saved = open_saved(wanted);
    if (wanted.how == How::saves && !saved) return tl::unexpected(std::move(saved).error());
    auto went_on = saved ? go_on(wanted.machine, *saved, outside) : Result<void>(tl::unexpected(saved.error()));
    if (went_on) ::dprintf(messages_fd, "%s\n", went_on_line);
    if (went_on || wanted.how == How::saves) return went_on;
    ::dprintf(
        messages_fd,
        "%sthe machine boots: the saved one can't be used: %s; make it again: bulkhead template create --tier vm\n",
        note_mark, escape_for_terminal(went_on.error().message, 300).c_str());
    return boot_up(wanted.machine, outside);
  }

  // What is in the folder is nobody's afterwards: the machine's programs run without it.
  static Result<Saved> open_saved(const Arguments& wanted) {
    Saved saved;
    {
      BH_TRY(const UniqueFd folder, sys::open(saved_folder, O_RDONLY | O_DIRECTORY));
      if (wanted.how == How::saves) BH_CHECK(boot_and_save(wanted.machine, folder.get()));
      const auto open = [&](const char* name) { return sys::open_at(folder.get(), name, O_RDONLY | O_NOFOLLOW); };
      BH_TRY(saved.map, open(map_name));
      BH_TRY(saved.pages, open(pages_name));
      BH_TRY(saved.state, open(state_name));
    }
    if (wanted.how == How::saves) {
      BH_TRY(saved.map_sha256, sha256_hex_of(saved.map.get(), max_saved));
      BH_TRY(saved.pages_sha256, sha256_hex_of(saved.pages.get(), max_saved));
      BH_TRY(saved.state_sha256, sha256_hex_of(saved.state.get(), max_saved));
    } else {
      saved.map_sha256 = wanted.digests[0];
      saved.pages_sha256 = wanted.digests[1];
      saved.state_sha256 = wanted.digests[2];
    }
    if (::umount2(saved_folder, MNT_DETACH) != 0) return fail_errno("umount2", saved_folder, errno);
    return saved;
  }

  static Result<void> boot_and_save(const Machine& machine, int folder) {
    auto saved = save(machine, folder, messages_fd, silent_boot);
    if (saved || saved.error().code != ETIMEDOUT) return saved;
    tell_silence("");
    return save(machine, folder, messages_fd, patience - 2 * silent_boot);
  }

  static void tell_silence(const std::string& console) {
    ::dprintf(messages_fd, "%sthe machine said nothing for %d seconds%s, so it was switched off and on again\n",
              note_mark, static_cast<int>(silent_boot.count()), console.c_str());
  }

  Result<void> switch_on(Result<Running> made) {
    BH_TRY(Running running, std::move(made));
    virtiofsd_ = std::move(running.virtiofsd);
    qemu_ = std::move(running.qemu);
    console_ = std::move(running.console);
    mux_.emplace(std::move(running.port));
    return open_talk();
  }

  Result<void> boot_up(const Machine& machine, const Outside& outside) {
    BH_CHECK(switch_on(boot(machine, outside)));
    BH_TRY(const First heard, hear_first_word(silent_boot));
    if (heard != First::silence) return {};  // how it ended loop() says
    // On a host where all takes long it is given the time that is left.
    if (Clock::now() + 2 * silent_boot > begun_ + patience) return {};
    tell_silence(last_words(console_.get()));
    switch_off();
    return switch_on(boot(machine, outside));
  }

  // One that was saved says its first word at once, or was not what it seemed.
  Result<void> go_on(const Machine& machine, const Saved& saved, const Outside& outside) {
    BH_CHECK(switch_on(restore(machine, saved, outside)));
    const auto heard = hear_first_word(first_word);
    if (heard && *heard == First::word) return {};
    Error error{"it does not go on" + (heard ? "" : ": " + heard.error().message) + last_words(console_.get())};
    switch_off();
    return tl::unexpected(std::move(error));
  }

  void switch_off() {
    qemu_.kill_and_wait();
    virtiofsd_.kill_and_wait();
  }

  enum class First { word, silence, end };
  Result<First> hear_first_word(std::chrono::seconds at_most) {
    for (const Clock::time_point late = Clock::now() + at_most;;) {
      std::vector<pollfd> fds;
      mux_->prepare(fds);
      const std::size_t muxed = fds.size();
      fds.push_back({talk_.get(), POLLIN, 0});
      fds.push_back({qemu_.pidfd(), POLLIN, 0});
      fds.push_back({virtiofsd_.pidfd(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), 100) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      if (fds[muxed].revents != 0) return First::word;
      if (fds[muxed + 1].revents != 0 || fds[muxed + 2].revents != 0) return First::end;
      if (Clock::now() > late) return First::silence;
      fds.resize(muxed);
      if (auto handled = mux_->handle(fds); !handled) {
        if (handled.error().code == EPIPE) return First::end;
        return fail("the virtual machine ended: " + handled.error().message);
      }
    }
  }

  Result<void> open_talk() {
    BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
    talk_ = std::move(pair.first);
    BH_CHECK(sys::set_nonblocking(talk_.get(), true));
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
    const Clock::time_point late = begun_ + patience;
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
      if (!opened_ && Clock::now() > late) return fail("the virtual machine does not boot" + said_);
    }
  }

  Result<int> ended(const std::string& what, const Result<void>& handled) {
    read_console();
    if (status_) return *status_;
    return fail(what + " ended" + (handled || handled.error().code == EPIPE ? "" : ": " + handled.error().message) +
                said_);
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
    if (std::get_if<shim::Asks>(&said) != nullptr) return tell(shim::encode_time(boot_.time));
    BH_TRY(const std::string text, shim::encode(boot_));
    return tell(text);
  }

  // A machine that asks and does not listen is not waited for.
  Result<void> tell(const std::string& text) {
    auto sent = ipc::send(talk_.get(), std::string_view(text));
    return sent || sent.error().code == EAGAIN ? Result<void>() : sent;
  }

  void read_console() {
    if (std::string said = last_words(console_.get()); !said.empty()) said_ = std::move(said);
  }

  const Clock::time_point begun_ = Clock::now();
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
