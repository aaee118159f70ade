// bulkhead-login: holds the file of one agent's login on the host. It reads it, gives its tokens to the one egress that
// uses them, and writes back what a refresh brought, so that the agent on the host finds a login that works.
// login_messages.h says what it is told and by whom.
//
// Of the host it sees one folder (Landlock), and no network. It outlives the supervisor for as long as it takes to
// write what egress has told it: a token that was replaced and is lost would end the user's login.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "credential/login_messages.h"

namespace {

using namespace bulkhead;

constexpr int supervisor_fd = 3;
constexpr int folder_fd = 4;
constexpr auto patience = std::chrono::seconds(20);  // for another session's refresh
constexpr int look_again = 50;                       // ms

Result<void> become(uid_t uid, gid_t gid) {
  if (::setgroups(0, nullptr) != 0) return fail_errno("setgroups", "", errno);
  if (::setresgid(gid, gid, gid) != 0) return fail_errno("setresgid", "", errno);
  if (::setresuid(uid, uid, uid) != 0) return fail_errno("setresuid", "", errno);
  // Or /proc/self would be root's, and the maps of the empty root's namespace could not be written.
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  return {};
}

class File {
 public:
  File(UniqueFd folder, LoginRequest request) : folder_(std::move(folder)), about_(std::move(request)) {}

  struct Read {
    std::string text;
    struct stat st{};
    Read() = default;
    Read(Read&&) = default;
    Read& operator=(Read&&) = default;
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;
    ~Read() { wipe(text); }
  };
  Result<Read> read() const {
    Read out;
    // O_NONBLOCK: a FIFO in its place must be refused below, not waited for.
    BH_TRY(const UniqueFd fd, sys::open_at2(folder_.get(), about_.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                                            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
    BH_TRY(out.st, sys::stat_fd(fd.get(), about_.name));
    if (!S_ISREG(out.st.st_mode)) return fail("it is not a regular file");
    BH_TRY(out.text, sys::read_all(fd.get(), max_login_file, about_.name));
    return out;
  }

  // False: another session has it.
  Result<bool> lock() {
    if (!locked_) {
      BH_TRY(locked_, sys::open_at(folder_.get(), ".", O_RDONLY | O_DIRECTORY));
    }
    if (::flock(locked_.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return fail_errno("flock", about_.name, errno);
    return false;
  }
  void unlock() { locked_.reset(); }

  // Only over what still holds `known`: whoever else has written to it knows better.
  Result<void> write(const LoginTokens& known, const StoreRequest& request) const {
    BH_TRY(const Read now, read());
    BH_TRY(const LoginTokens held, read_login(about_.login, now.text));
    if (!same(held, known)) return fail("the file has other tokens by now: somebody else has refreshed or logged in");
    BH_TRY(std::string text,
           renewed_login(about_.login, now.text, request.tokens, request.expires_in, std::chrono::system_clock::now()));
    const auto unchanged = [&](int) -> Result<void> {
      struct stat st{};
      if (::fstatat(folder_.get(), about_.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno("fstatat", about_.name, errno);
      }
      const bool is = st.st_ino == now.st.st_ino && st.st_dev == now.st.st_dev && st.st_size == now.st.st_size &&
                      st.st_mtim.tv_sec == now.st.st_mtim.tv_sec && st.st_mtim.tv_nsec == now.st.st_mtim.tv_nsec;
      if (!is) return fail("the file was changed meanwhile");
      return {};
    };
    BH_TRY(const UniqueFd folder, sys::open_at(folder_.get(), ".", O_RDONLY | O_DIRECTORY));
    auto done = sys::replace_at(folder.get(), about_.name, text, 0600, 0, unchanged);
    wipe(text);
    return done;
  }

  const LoginRequest& about() const { return about_; }

 private:
  UniqueFd folder_, locked_;
  LoginRequest about_;
};

class Process {
 public:
  Process(UniqueFd supervisor, UniqueFd egress, File file)
      : supervisor_(std::move(supervisor)), egress_(std::move(egress)), file_(std::move(file)) {}

  // Tells the supervisor what the session finds in its place.
  Result<void> read() {
    nlohmann::json answer{
        {"type", "read"}, {"error", ""}, {"missing", false}, {"notes", nlohmann::json::array()}, {"inside", ""}};
    const auto look = [&]() -> Result<void> {
      BH_TRY(const File::Read now, file_.read());
      BH_TRY(known_, read_login(file_.about().login, now.text));
      BH_TRY(const std::string inside, login_for_session(file_.about().login, now.text, file_.about().slot));
      answer["inside"] = inside;
      if ((now.st.st_mode & (S_IRGRP | S_IROTH)) != 0) {
        answer["notes"].push_back("the login's file can be read by other users; chmod 600 it");
      }
      return {};
    };
    if (auto done = look(); !done) {
      answer["error"] = done.error().message;
      answer["missing"] = done.error().code == ENOENT;
    }
    return ipc::send(supervisor_.get(), answer);
  }

  Result<void> serve() {
    pollfd fds[2] = {{supervisor_.get(), POLLIN, 0}, {egress_.get(), POLLIN, 0}};
    for (;;) {
      if (::poll(fds, 2, -1) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      // What egress said comes first: it may be the last thing it said.
      if (fds[1].revents != 0) {
        BH_TRY(const bool open, hear_egress());
        if (!open) fds[1].fd = -1;  // nothing to hear any more
        continue;
      }
      if (fds[0].revents == 0) continue;
      BH_TRY(const ipc::Message message, ipc::receive(supervisor_.get()));
      if (message.closed) return {};
      BH_TRY(const nlohmann::json object, ipc::parse(message.text));
      if (object.value("type", "") != "release") return fail("told something that makes no sense");
      BH_CHECK(send_tokens(egress_.get(), known_));
      BH_CHECK(ipc::send(supervisor_.get(), nlohmann::json{{"type", "ready"}}));
    }
  }

 private:
  // False: egress is gone.
  Result<bool> hear_egress() {
    auto message = ipc::receive(egress_.get());
    if (!message || message->closed) return false;
    auto object = ipc::parse(message->text);
    wipe(message->text);
    if (!object) return tl::unexpected(std::move(object).error());
    const std::string type = object->value("type", "");
    if (type == "begin") {
      BH_CHECK(begin());
    } else if (type == "store") {
      BH_TRY(StoreRequest request, store_from(*object));
      BH_CHECK(store(std::move(request)));
    } else if (type == "end") {
      file_.unlock();
    } else {
      return fail("egress said something that makes no sense");
    }
    return true;
  }

  Result<void> answer(const nlohmann::json& object) {
    auto sent = ipc::send(egress_.get(), object);
    if (!sent && sent.error().code == EPIPE) return {};  // it has ended; its socket says so next
    return sent;
  }

  Result<void> begin() {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
      BH_TRY(const bool mine, file_.lock());
      if (mine) break;
      pollfd gone{supervisor_.get(), POLLIN, 0};
      if (std::chrono::steady_clock::now() >= until || ::poll(&gone, 1, look_again) > 0) {
        file_.unlock();
        return answer({{"type", "busy"}});
      }
    }
    // Another session, or the agent on the host, may have refreshed it: the token we know is then worth nothing.
    if (const auto now = file_.read(); now) {
      auto held = read_login(file_.about().login, now->text);
      if (held && !same(*held, known_)) {
        known_ = std::move(*held);
        auto sent = send_tokens(egress_.get(), known_);
        if (!sent && sent.error().code != EPIPE) return sent;
        return {};
      }
    }
    return answer({{"type", "begun"}});
  }

  Result<void> store(StoreRequest request) {
    auto done = file_.write(known_, request);
    file_.unlock();
    // What it holds is known; a file that could not be written is left behind, and said to be.
    if (done) {
      known_.access = std::move(request.tokens.access);
      if (!request.tokens.refresh.empty()) known_.refresh = std::move(request.tokens.refresh);
      if (!request.tokens.id.empty()) known_.id = std::move(request.tokens.id);
    }
    const std::string why = done ? "" : done.error().message;
    BH_CHECK(answer({{"type", "stored"}, {"written", done.has_value()}, {"why", why}}));
    if (done) return {};
    (void)ipc::send(supervisor_.get(), nlohmann::json{{"type", "said"}, {"text", why}});
    return {};
  }

  UniqueFd supervisor_, egress_;
  File file_;
  LoginTokens known_;
};

Result<void> run() {
  // The egress' last word may be what keeps the user's login alive.
  if (::prctl(PR_SET_PDEATHSIG, 0) != 0) return fail_errno("prctl(PR_SET_PDEATHSIG)", "", errno);
  constexpr rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  UniqueFd supervisor(supervisor_fd), folder(folder_fd);
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return {};  // no session after all
  if (message.fds.size() != 1) return fail("the request came without its socket");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_TRY(LoginRequest request, login_request_from(object));
  if (request.become) BH_CHECK(become(request.become->first, request.become->second));
  const int folders[] = {folder.get()};
  BH_CHECK(confine(Role::login, folders));
  Process process(std::move(supervisor), std::move(message.fds[0]), File(std::move(folder), std::move(request)));
  BH_CHECK(process.read());
  return process.serve();
}

}  // namespace

int main() {
  return run_helper(run, {SIGTERM});
}
