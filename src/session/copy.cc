#include "session/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include "base/confine.h"
#include "base/process.h"
#include "base/random.h"
#include "base/sys.h"
#include "base/text.h"
#include "policy/units.h"
#include "session/execute.h"
#include "session/settle.h"

namespace bulkhead::session {
namespace {

constexpr uid_t nobody = 65534;
constexpr const char* tar_path = "/usr/bin/tar";

struct Split {
  std::string folder, name;
};

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string joined(const Split& place) {
  return (place.folder == "/" ? "" : place.folder) + "/" + place.name;
}

// "a/b/c/" -> "a/b", "c".
Result<Split> split_path(const std::string& full, const char* what) {
  const std::string path = without_slashes(full);
  const std::size_t slash = path.rfind('/');
  Split out;
  out.name = slash == std::string::npos ? path : path.substr(slash + 1);
  out.folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (out.name.empty() || out.name == "." || out.name == "..") {
    return fail(std::string(what) + " \"" + escape_for_terminal(path, 200) + "\" does not end in a name");
  }
  return out;
}

Result<int> run_inside(const CopySession& session, std::vector<std::string> command, int in, int out) {
  BH_TRY(UniqueFd connection, session.connect());
  BH_TRY(const UniqueFd null, sys::open("/dev/null", O_RDWR));
  Execution what;
  what.command = std::move(command);
  what.own_kernel = session.own_kernel;
  what.directory = "/";
  what.ends_at_interrupt = true;  // a stranger's tar need not
  what.stdio[0] = in < 0 ? null.get() : in;
  what.stdio[1] = out < 0 ? null.get() : out;
  what.stdio[2] = null.get();
  BH_TRY(const Executed done, execute(std::move(connection), what));
  return done.status;
}

Error tar_failed(int status) {
  return Error{status == 127 ? "there is no tar inside the session"
                             : "tar inside the session failed (status " + std::to_string(status) +
                                   "); is the path there, and may the session read or write it?",
               0};
}

// In the forked child: the archive is a stranger's.
Result<void> unpack_here(int folder, std::uint64_t most) {
  if (::fchdir(folder) != 0) return fail_errno("fchdir", "", errno);
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
                           ::setresuid(nobody, nobody, nobody) != 0)) {
    return fail_errno("setresuid", "nobody", errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing uids took it away
  const rlimit none{0, 0}, size{most, most};
  ::setrlimit(RLIMIT_CORE, &none);
  ::setrlimit(RLIMIT_FSIZE, &size);
  ::umask(022);
  BH_TRY(const UniqueFd here, sys::open(".", O_PATH | O_DIRECTORY));
  return confine_program(here.get());
}

Result<Child> start_unpacking(int archive, int folder, std::uint64_t most) {
  BH_TRY(const UniqueFd program, sys::open(tar_path, O_PATH));
  SpawnOptions options;
  options.program = program.get();
  options.arguments = {"tar", "--extract", "--no-same-owner", "--no-same-permissions", "--delay-directory-restore"};
  options.fds = {archive, -1, -1};
  options.before_exec = [&] { return unpack_here(folder, most); };
  return spawn(options);
}

// Between the two: no more than `most` bytes go through.
class Counted {
 public:
  static Result<std::unique_ptr<Counted>> begin(UniqueFd from, UniqueFd to, std::uint64_t most) {
    BH_TRY(sys::Pair over, sys::pipe());
    return std::unique_ptr<Counted>(new Counted(std::move(from), std::move(to), std::move(over), most));
  }
  ~Counted() { join(); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  // The command is over: what it said until now goes through, and nothing that it left running adds to that.
  bool join() {
    over_.reset();
    if (thread_.joinable()) thread_.join();
    return !too_much_;
  }

 private:
  Counted(UniqueFd from, UniqueFd to, sys::Pair over, std::uint64_t most)
      : over_(std::move(over.second)),
        thread_([this, from = std::move(from), to = std::move(to), told = std::move(over.first), most] {
          run(from.get(), to.get(), told.get(), most);
        }) {}

  void run(int from, int to, int told, std::uint64_t most) {
    std::uint64_t passed = 0;
    for (std::optional<int> left; !left || *left > 0;) {
      pollfd fds[2] = {{from, POLLIN, 0}, {told, 0, 0}};
      if (!left && ::poll(fds, 2, -1) < 0 && errno != EINTR) return;
      if (!left && fds[1].revents != 0) {
        int held = 0;
        if (::ioctl(from, FIONREAD, &held) != 0 || held == 0) return;
        left = held;
      }
      if (!left && fds[0].revents == 0) continue;
      const std::size_t piece = std::min(std::size_t{1} << 16, static_cast<std::size_t>(left.value_or(1 << 16)));
      const ssize_t n = ::splice(from, nullptr, to, nullptr, piece, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      if (left) *left -= static_cast<int>(n);
      passed += static_cast<std::uint64_t>(n);
      if (passed <= most) continue;
      too_much_ = true;
      return;
    }
  }
  std::atomic<bool> too_much_ = false;
  UniqueFd over_;
  std::thread thread_;
};

// A folder of its own beside where things are to be, gone with this.
class Beside {
 public:
  static Result<Beside> make(const std::string& folder) {
    BH_TRY(UniqueFd parent, sys::open(folder, O_RDONLY | O_DIRECTORY));
    Beside out;
    std::string random = random_bytes(10);
    for (char& c : random) c = static_cast<char>('a' + static_cast<unsigned char>(c) % 26);
    out.name_ = ".bulkhead-cp-" + random;
    if (::mkdirat(parent.get(), out.name_.c_str(), 0700) != 0) return fail_errno("mkdir", folder, errno);
    out.parent_ = std::move(parent);
    BH_TRY(out.folder_, sys::open_at(out.parent_.get(), out.name_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (::geteuid() == 0 && ::fchown(out.folder_.get(), nobody, nobody) != 0) return fail_errno("chown", folder, errno);
    return out;
  }
  Beside(Beside&&) noexcept = default;
  Beside& operator=(Beside&&) = delete;
  ~Beside() {
    if (parent_) (void)sys::remove_tree(parent_.get(), name_);
  }
  int folder() const { return folder_.get(); }
  int parent() const { return parent_.get(); }

 private:
  Beside() = default;
  UniqueFd parent_, folder_;
  std::string name_;
};

Result<void> unpack(const CopySession& session, const Split& source, int folder, std::uint64_t most) {
  BH_TRY(sys::Pair said, sys::pipe());
  BH_TRY(sys::Pair counted, sys::pipe());
  BH_TRY(Child tar, start_unpacking(counted.first.get(), folder, most));
  counted.first.reset();
  ::signal(SIGPIPE, SIG_IGN);
  BH_TRY(const auto counting, Counted::begin(std::move(said.first), std::move(counted.second), most));
  const auto status = run_inside(session, {"tar", "--create", "--directory=" + source.folder, "--", source.name}, -1,
                                 said.second.get());
  said.second.reset();
  const bool fits = counting->join();
  BH_TRY(const ExitStatus unpacked, tar.wait());
  if (!fits) return fail("it is more than " + size_text(most) + "; --max-size allows more");
  BH_CHECK(status.map([](int) {}));
  if (*status != 0) return tl::unexpected(tar_failed(*status));
  if (unpacked.shell() != 0) {
    return fail("what came out of the session could not be unpacked (status " + std::to_string(unpacked.shell()) +
                "; is the disk full?)");
  }
  return {};
}

// What would end us at once would leave behind what is unpacked beside; and the thread that counts would take it, where
// the main one has it blocked. From here on a command's caller hears of it (execute.h), which takes down all of it.
void hold_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, s);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

// For tar's --transform: each character means itself.
std::string literal(const std::string& name, const char* special) {
  std::string out;
  for (const char c : name) {
    if (std::string_view(special).find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<Copied> copy_out(const CopySession& session, const std::string& from, const std::string& to,
                        std::uint64_t most) {
  BH_TRY(const Split source, split_path(from, "the session's"));
  Split goal{without_slashes(to), source.name};
  if (!sys::is_directory(to)) {
    BH_TRY(goal, split_path(to, "the host's"));
  }
  Copied copied;
  copied.path = joined(goal);
  const std::string there = "\"" + escape_for_terminal(copied.path, 300) + "\" is there already; ";
  struct stat st{};
  if (::lstat(copied.path.c_str(), &st) == 0) return fail(there + "remove it, or name another place");
  hold_signals();
  BH_TRY(const Beside beside, Beside::make(goal.folder));
  BH_CHECK(unpack(session, source, beside.folder(), most));
  // Of the name that was asked for, and nothing beside it.
  BH_TRY(const std::vector<std::string> names, sys::list_directory(beside.folder()));
  if (names.size() != 1 || names.front() != source.name) {
    return fail("what came out of the session is not \"" + escape_for_terminal(source.name, 200) + "\"");
  }
  // From here on nobody else gets in there, nor to what is looked at by name.
  if (::geteuid() == 0 && ::fchown(beside.folder(), 0, 0) != 0) return fail_errno("chown", goal.folder, errno);
  BH_CHECK(settle(beside.folder(), copied));
  if (copied.files == 0) return fail("it is no file and no folder, or a link that leads elsewhere: not copied");
  if (::renameat2(beside.folder(), source.name.c_str(), beside.parent(), goal.name.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return fail(there + "it has just been made");
    return fail_errno("rename", copied.path, errno);
  }
  return copied;
}

Result<Copied> copy_in(const CopySession& session, const std::string& from, const std::string& to) {
  BH_TRY(const Split source, split_path(from, "the host's"));
  struct stat st{};
  if (::lstat(from.c_str(), &st) != 0) return fail_errno("stat", escape_for_terminal(from, 300), errno);
  BH_TRY(const int is_folder, run_inside(session, {"test", "-d", to}, -1, -1));
  Split goal{without_slashes(to), source.name};
  if (is_folder != 0) {
    BH_TRY(goal, split_path(to, "the session's"));
  }
  BH_TRY(const UniqueFd program, sys::open(tar_path, O_PATH));
  BH_TRY(sys::Pair archive, sys::pipe());
  SpawnOptions options;
  options.program = program.get();
  options.arguments = {"tar", "--create", "--directory=" + source.folder};
  if (goal.name != source.name) {
    options.arguments.push_back("--transform=flags=rhS;s,^" + literal(source.name, ",.*[]^$\\") + "\\(/\\|$\\)," +
                                literal(goal.name, ",&\\") + "\\1,");
  }
  options.arguments.insert(options.arguments.end(), {"--", source.name});
  options.fds = {-1, archive.second.get(), 2};
  options.before_exec = [&]() -> Result<void> { return {}; };
  BH_TRY(Child tar, spawn(options));
  archive.second.reset();
  BH_TRY(const int status, run_inside(session, {"tar", "--extract", "--no-same-owner", "--directory=" + goal.folder},
                                      archive.first.get(), -1));
  archive.first.reset();
  BH_TRY(const ExitStatus packed, tar.wait());
  if (status != 0) return tl::unexpected(tar_failed(status));
  if (packed.shell() != 0) return fail("tar could not read all of it (status " + std::to_string(packed.shell()) + ")");
  Copied copied;
  copied.path = joined(goal);
  return copied;
}

}  // namespace bulkhead::session
