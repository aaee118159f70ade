#include "mcp/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utility>

#include "base/own.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::mcp {
namespace {

constexpr int waiting = 1024;  // who finds no place there is turned away (EAGAIN), and need not try again
constexpr OwnStore folder_of_it{"a socket there",
                                "put it where nobody else may write: a folder of your own, $XDG_RUNTIME_DIR for one"};

// By descriptor: nobody can swap a folder on the way.
Result<sockaddr_un> address_of(int folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  if (path.size() >= sizeof address.sun_path) return fail("--socket: the file's name is too long; 80 bytes are not");
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// A session of ours has the folder we are in, as a rule, and would put a server of its own in the place of ours.
Result<void> judge_place(int folder, const std::string& shown) {
  BH_TRY(const std::string place, sys::path_of(folder));
  BH_TRY(const UniqueFd here, sys::open(".", O_PATH | O_DIRECTORY));
  BH_TRY(const std::string workspace, sys::path_of(here.get()));
  if (place != workspace && !place.starts_with(workspace == "/" ? workspace : workspace + "/")) return {};
  return fail(
      "--socket " + shown +
      ": it is in the folder you are in, which the session may write to, so it could put a server of its own in "
      "its place; choose one outside, $XDG_RUNTIME_DIR for one");
}

// What stands there already: nothing, or a socket that nobody answers at, which is removed.
Result<void> make_room(int folder, const std::string& name, const sockaddr_un& address, const std::string& shown) {
  struct stat st{};
  if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("stat", shown, errno);
  }
  if (!S_ISSOCK(st.st_mode)) return fail("--socket " + shown + ": there is something that is no socket; it stays");
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_errno("socket", "", errno);
  // EAGAIN: its backlog is full. Only who refuses is nobody.
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED) {
    return fail("--socket " + shown + ": a server answers there already; stop it, or choose another path");
  }
  if (::unlinkat(folder, name.c_str(), 0) != 0) return fail_errno("unlink", shown, errno);
  return {};
}

}  // namespace

Listener::Listener(Listener&& other) noexcept
    : folder_(std::move(other.folder_)),
      socket_(std::move(other.socket_)),
      name_(std::exchange(other.name_, "")),
      device_(other.device_),
      inode_(other.inode_) {}

Listener::~Listener() {
  remove();
}

Result<Listener> Listener::open(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string shown = escape_for_terminal(path);
  Listener out;
  std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (name.empty() || name == "." || name == "..") return fail("--socket " + shown + ": that is no file's name");
  BH_TRY(out.folder_, sys::open(folder, O_RDONLY | O_DIRECTORY));
  BH_CHECK(judge_own(out.folder_.get(), folder, folder_of_it));
  BH_CHECK(judge_place(out.folder_.get(), shown));
  BH_TRY(const sockaddr_un address, address_of(out.folder_.get(), name));
  // One server at a time looks and takes.
  if (::flock(out.folder_.get(), LOCK_EX) != 0) return fail_errno("flock", folder, errno);
  BH_CHECK(make_room(out.folder_.get(), name, address, shown));
  out.socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.socket_) return fail_errno("socket", "", errno);
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(out.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int why = errno;
  ::umask(mask);
  if (bound != 0) return fail_errno("bind", shown, why);
  struct stat st{};
  if (::fstatat(out.folder_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("stat", shown, errno);
  out.name_ = std::move(name);
  out.device_ = st.st_dev;
  out.inode_ = st.st_ino;
  if (::listen(out.socket_.get(), waiting) != 0) return fail_errno("listen", shown, errno);
  if (::flock(out.folder_.get(), LOCK_UN) != 0) return fail_errno("flock", folder, errno);
  return out;
}

void Listener::remove() {
  struct stat st{};
  if (!folder_ || name_.empty()) return;
  if (::fstatat(folder_.get(), name_.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == device_ &&
      st.st_ino == inode_) {
    (void)::unlinkat(folder_.get(), name_.c_str(), 0);
  }
  name_.clear();
}

}  // namespace bulkhead::mcp
