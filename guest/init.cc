#include "guest/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/sys.h"
#include "guest/boot.h"
#include "guest/clock.h"
#include "guest/devices.h"
#include "guest/forget.h"
#include "guest/mux.h"
#include "guest/record.h"
#include "guest/recorder.h"
#include "room/wire.h"

namespace bulkhead::shim {
namespace {

constexpr const char* shared = "/shared";  // what the host shows, as a whole
constexpr const char* root = "/root";      // what the session sees
// Fewer than that the workload could use up before the next look at them (forget.h).
constexpr std::uint64_t many_files = 65'536;
constexpr unsigned long no_privilege = MS_NOSUID | MS_NODEV;

Result<void> mount_at(const char* source, const std::string& target, const char* type, unsigned long flags,
                      const std::string& options = "") {
  if (::mount(source, target.c_str(), type, flags, options.c_str()) != 0) return fail_errno("mount", target, errno);
  return {};
}

// In the order in which they stand in the file, each after what it needs.
Result<void> load_modules() {
  std::ifstream list("/modules/list");
  for (std::string name; std::getline(list, name);) {
    BH_TRY(const UniqueFd file, sys::open("/modules/" + name, O_RDONLY));
    if (::syscall(SYS_finit_module, file.get(), "", 0) != 0 && errno != EEXIST) {
      return fail_errno("finit_module", name, errno);
    }
  }
  return {};
}

Result<void> basics() {
  for (const char* folder : {"/proc", "/sys", "/dev", shared, root}) ::mkdir(folder, 0755);
  BH_CHECK(mount_at("proc", "/proc", "proc", no_privilege | MS_NOEXEC));
  BH_CHECK(mount_at("sys", "/sys", "sysfs", no_privilege | MS_NOEXEC));
  if (::mount("dev", "/dev", "devtmpfs", MS_NOSUID, nullptr) != 0 && errno != EBUSY) {
    return fail_errno("mount", "/dev", errno);
  }
  return load_modules();
}

// Devices come a moment after their driver.
Result<UniqueFd> open_port(const std::string& wanted) {
  for (int waited = 0; waited < 30'000; waited += 2) {
    const auto all = sys::open("/sys/class/virtio-ports", O_RDONLY | O_DIRECTORY);
    if (all) {
      BH_TRY(const std::vector<std::string> names, sys::list_directory(all->get()));
      for (const std::string& name : names) {
        std::ifstream file("/sys/class/virtio-ports/" + name + "/name");
        std::string known;
        if (std::getline(file, known) && known == wanted) return sys::open("/dev/" + name, O_RDWR | O_NONBLOCK);
      }
    }
    ::usleep(2000);
  }
  return fail("this machine has no port to the host");
}

// The saved state of a machine, or one that booted like any other, has the randomness of the other, too.
Result<void> reseed(const std::string& seed) {
  BH_TRY(const UniqueFd random, sys::open("/dev/urandom", O_WRONLY));
  // rand_pool_info (random(4)): two numbers, and the bytes.
  std::array<int, 2 + seed_size / sizeof(int)> entropy{static_cast<int>(seed_size * 8), static_cast<int>(seed_size)};
  ::memcpy(&entropy[2], seed.data(), seed_size);
  if (::ioctl(random.get(), RNDADDENTROPY, entropy.data()) != 0 || ::ioctl(random.get(), RNDRESEEDCRNG) != 0) {
    return fail_errno("ioctl(RNDADDENTROPY)", "", errno);
  }
  return {};
}

Result<void> make_place(const std::string& path, bool folder) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0755);
  }
  if (folder) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("mkdir", path, errno);
    return {};
  }
  return sys::open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644).map([](const UniqueFd&) {});
}

Result<void> show(const std::string& source, const std::string& target, bool writable) {
  struct stat st{};
  if (::stat(source.c_str(), &st) != 0) return fail_errno("stat", source, errno);
  struct stat there{};
  if (::stat(target.c_str(), &there) != 0) BH_CHECK(make_place(target, S_ISDIR(st.st_mode)));
  BH_CHECK(mount_at(source.c_str(), target, nullptr, MS_BIND | MS_REC));
  return mount_at(nullptr, target, nullptr, MS_BIND | MS_REMOUNT | no_privilege | (writable ? 0 : MS_RDONLY));
}

// Only what a program may expect, and no device of this machine.
Result<void> devices() {
  const std::string dev = std::string(root) + "/dev";
  BH_CHECK(mount_at("dev", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=1m"));
  const struct {
    const char* name;
    unsigned major, minor;
  } all[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  for (const auto& one : all) {
    const std::string path = dev + "/" + one.name;
    if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(one.major, one.minor)) != 0 || ::chmod(path.c_str(), 0666) != 0) {
      return fail_errno("mknod", path, errno);
    }
  }
  ::mkdir((dev + "/pts").c_str(), 0755);
  BH_CHECK(mount_at("pts", dev + "/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"));
  const struct {
    const char *name, *to;
  } links[] = {{"ptmx", "pts/ptmx"},
               {"fd", "/proc/self/fd"},
               {"stdin", "/proc/self/fd/0"},
               {"stdout", "/proc/self/fd/1"},
               {"stderr", "/proc/self/fd/2"}};
  for (const auto& link : links) {
    if (::symlink(link.to, (dev + "/" + link.name).c_str()) != 0) return fail_errno("symlink", link.name, errno);
  }
  return {};
}

Result<void> furnish(const Boot& boot) {
  BH_CHECK(mount_at(share_tag, shared, "virtiofs", no_privilege));
  BH_CHECK(show(shared + boot.root, root, false));
  const std::string top(root);
  BH_CHECK(mount_at("proc", top + "/proc", "proc", no_privilege | MS_NOEXEC));
  BH_CHECK(devices());
  for (const BootMount& mount : boot.mounts) {
    if (mount.kind == BootMount::Kind::shown) {
      BH_CHECK(show(shared + mount.source, top + mount.target, mount.writable));
      continue;
    }
    char options[100];
    (void)::snprintf(options, sizeof options, "size=%llu,mode=%o", static_cast<unsigned long long>(mount.size),
                     mount.mode);
    struct stat there{};
    if (::stat((top + mount.target).c_str(), &there) != 0) BH_CHECK(make_place(top + mount.target, true));
    BH_CHECK(mount_at("memory", top + mount.target, "tmpfs", no_privilege, options));
    const bool everybody = (mount.mode & 0002) != 0;
    if (!everybody && ::chown((top + mount.target).c_str(), boot.uid, boot.gid) != 0) {
      return fail_errno("chown", mount.target, errno);
    }
  }
  return {};
}

Result<void> enter() {
  if (::chdir(root) != 0) return fail_errno("chdir", root, errno);
  BH_CHECK(mount_at(".", "/", nullptr, MS_MOVE));
  if (::chroot(".") != 0 || ::chdir("/") != 0) return fail_errno("chroot", root, errno);
  return {};
}

// The shim sets the session's limits; a kernel's own first ones may be lower.
void lift_limits() {
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY}, files{1024, 1U << 20};
  for (const auto resource : {RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE}) {
    (void)::setrlimit(resource, &none);
  }
  (void)::setrlimit(RLIMIT_NOFILE, &files);
}

// The session's uid, if that is not 0; as 0, the shim makes it a namespace of its own in which it is nobody much.
Result<void> give_up_privilege(const Boot& boot) {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return fail_errno("prctl(PR_CAPBSET_DROP)", "", errno);
  }
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::setresgid(boot.gid, boot.gid, boot.gid) != 0 ||
      ::setresuid(boot.uid, boot.uid, boot.uid) != 0) {
    return fail_errno("setresuid", std::to_string(boot.uid), errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  return {};
}

class Init {
 public:
  Init(const BeforeShim& before_shim, const Seeded& seeded) : before_shim_(before_shim), seeded_(seeded) {}

  Result<void> run() {
    BH_CHECK(basics());
    BH_CHECK(hear_of_children());
    BH_TRY(UniqueFd port, open_port(port_name));
    port_ = port.get();
    Mux mux(std::move(port), [this](std::uint8_t used) { return begin(used); });
    for (;;) {
      std::vector<pollfd> fds;
      mux.prepare(fds);
      const std::size_t ours = fds.size();
      fds.push_back({talk_.get(), POLLIN, 0});
      fds.push_back({ended_.get(), POLLIN, 0});
      const int pause = shim_ > 0 && boot_->files < many_files ? 20 : 500;
      if (::poll(fds.data(), fds.size(), pause) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      const bool heard = (fds[ours].revents & (POLLIN | POLLHUP)) != 0;
      fds.resize(ours);
      BH_CHECK(mux.handle(fds));
      if (heard) BH_CHECK(hear());
      forget_.look();
      if (boot_ && follow_.due()) say(Asks{});
      BH_CHECK(reap());
    }
  }

 private:
  void say(const FromInit& message) {
    const std::string text = encode(message);
    (void)::send(talk_.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }

  Result<Ends> begin(std::uint8_t used) {
    Ends near;
    if (!talk_) {
      BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
      near[control] = std::move(pair.first);
      talk_ = std::move(pair.second);
      say(Awake{});
      return near;
    }
    if (!boot_ || shim_ != 0) return fail("there is one shim");
    return start(used);
  }

  Result<void> hear() {
    std::string datagram(max_boot, '\0');
    const ssize_t n = ::recv(talk_.get(), datagram.data(), datagram.size(), 0);
    if (n <= 0) return fail("the host is gone");
    datagram.resize(static_cast<std::size_t>(n));
    if (boot_) {
      BH_TRY(const std::uint64_t now, decode_time(datagram));
      return follow_.heard(now);
    }
    auto done = stand(datagram);
    if (done) {
      say(Booted{});
    } else {
      say(Broken{done.error().message});
    }
    return {};
  }

  Result<void> stand(const std::string& datagram) {
    BH_TRY(Boot boot, decode_boot(datagram));
    BH_CHECK(reseed(boot.seed));
    if (seeded_) seeded_();
    BH_CHECK(set_clock(boot.time));
    if (::sethostname("bulkhead", 8) != 0) return fail_errno("sethostname", "", errno);
    BH_CHECK(find_devices());
    BH_CHECK(room::take_wire());
    UniqueFd record;  // devices are not there any more where the session's root is
    if (boot.record) {
      BH_TRY(record, open_port(record::port_name));
    }
    BH_CHECK(furnish(boot));
    BH_CHECK(enter());
    if (before_shim_) before_shim_(boot, port_, record.get());
    forget_ = Forget(boot.files);
    if (boot.record) {
      BH_TRY(Recorder recorder, Recorder::start(std::move(record)));
      recorder_.emplace(std::move(recorder));
    }
    boot_ = std::move(boot);
    return {};
  }

  // The shim's descriptors: 0, 1, 2 (or /dev/null), its socket, its lane.
  Result<Ends> start(std::uint8_t used) {
    Ends near;
    std::array<UniqueFd, 5> far;
    const auto pipe = [&](Channel channel, bool in, UniqueFd& theirs) -> Result<void> {
      if ((used >> channel & 1U) == 0) {
        BH_TRY(theirs, sys::open("/dev/null", O_RDWR));
        return {};
      }
      BH_TRY(sys::Pair made, sys::pipe());
      near[channel] = std::move(in ? made.second : made.first);
      theirs = std::move(in ? made.first : made.second);
      return {};
    };
    BH_CHECK(pipe(input, true, far[0]));
    BH_CHECK(pipe(output, false, far[1]));
    BH_CHECK(pipe(errors, false, far[2]));
    BH_TRY(sys::Pair talk, sys::socket_pair(SOCK_SEQPACKET));
    near[control] = std::move(talk.first);
    far[3] = std::move(talk.second);
    BH_TRY(sys::Pair lane, sys::socket_pair(SOCK_STREAM));
    near[terminal] = std::move(lane.first);
    far[4] = std::move(lane.second);
    const pid_t child = ::fork();
    if (child < 0) return fail_errno("fork", "", errno);
    if (child == 0) exec(far);
    shim_ = child;
    return near;
  }

  // Also of those that others have left.
  Result<void> hear_of_children() {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    if (::sigprocmask(SIG_BLOCK, &children, nullptr) != 0) return fail_errno("sigprocmask", "", errno);
    ended_.reset(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    return ended_ ? Result<void>() : fail_errno("signalfd", "", errno);
  }

  [[noreturn]] void exec(std::array<UniqueFd, 5>& far) {
    ::setsid();
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (recorder_) {
      if (auto done = recorder_->watch_me(); !done) give_up(done.error());
    }
    std::array<int, 5> high{};
    for (std::size_t i = 0; i < far.size(); ++i) high[i] = ::fcntl(far[i].get(), F_DUPFD_CLOEXEC, 20);
    for (std::size_t i = 0; i < far.size(); ++i) {
      if (high[i] < 0 || ::dup2(high[i], static_cast<int>(i)) < 0) ::_exit(125);
    }
    ::syscall(SYS_close_range, 5U, ~0U, 0);
    std::vector<char*> words;
    for (std::string& word : boot_->program) words.push_back(word.data());
    words.push_back(nullptr);
    lift_limits();
    if (auto done = give_up_privilege(*boot_); !done) give_up(done.error());
    char* nothing[] = {nullptr};
    ::execve(words[0], words.data(), nothing);
    ::_exit(126);
  }

  [[noreturn]] static void give_up(const Error& error) {
    (void)!::write(2, error.message.data(), error.message.size());
    ::_exit(125);
  }

  // After the shim the recorder says what it still knows; only then it is over, for the host then ends the machine.
  Result<void> reap() {
    for (signalfd_siginfo told{}; ::read(ended_.get(), &told, sizeof told) > 0;) {
    }
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(-1, &status, WNOHANG);
      if (ended <= 0) return {};
      if (ended == shim_) {
        over_ = Over{static_cast<std::uint8_t>(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status))};
        if (!recorder_) say(*over_);
        if (recorder_) recorder_->finish();
      } else if (recorder_ && ended == recorder_->pid()) {
        if (!over_ || status != 0) return fail("the record of what runs inside broke off");
        say(*over_);
      }
    }
  }

  const BeforeShim& before_shim_;
  const Seeded& seeded_;
  int port_ = -1;  // the mux's
  UniqueFd talk_;  // the far end of the first command's control channel
  std::optional<Boot> boot_;
  Forget forget_;
  Follow follow_;
  pid_t shim_ = 0;
  UniqueFd ended_;  // signalfd(2): a child has
  std::optional<Recorder> recorder_;
  std::optional<Over> over_;
};

}  // namespace

int run_init(const BeforeShim& before_shim, const Seeded& seeded) {
  (void)::signal(SIGPIPE, SIG_IGN);
  const auto done = Init(before_shim, seeded).run();
  // To the console, whose last line the host shows when a machine ends too early.
  if (!done) ::dprintf(1, "bulkhead-init: %s\n", done.error().message.c_str());
  ::sync();
  ::reboot(RB_POWER_OFF);
  return 1;
}

}  // namespace bulkhead::shim
