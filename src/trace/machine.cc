#include "trace/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "trace/wait.h"

namespace bulkhead::trace {
namespace {

namespace record = shim::record;

constexpr std::size_t piece = 64 * 1024;

tl::unexpected<Error> nonsense(const char* what) {
  return fail(std::string("the machine said something that makes no sense (") + what + ")");
}

bool is_pid(std::uint32_t number) {
  return number > 0 && number <= static_cast<std::uint32_t>(max_pid);
}

struct Reading {
  Result<std::optional<Happened>> operator()(const record::Hello&) const { return nonsense("a second greeting"); }
  Result<std::optional<Happened>> operator()(const record::Done&) const { return nonsense("an end"); }

  Result<std::optional<Happened>> operator()(const record::Forked& forked) const {
    if (!is_pid(forked.pid)) return nonsense("process id");
    return Began{by, static_cast<int>(forked.pid)};
  }
  Result<std::optional<Happened>> operator()(const record::Executed& executed) const {
    return Executed{by, executed.path, executed.arguments, executed.cut, true};
  }
  Result<std::optional<Happened>> operator()(const record::Runs&) const { return Runs{by}; }
  Result<std::optional<Happened>> operator()(const record::Ended& ended) const {
    if (!is_pid(ended.pid)) return nonsense("process id");
    if (ended.status > 0xffff) return nonsense("exit status");
    return Ended{static_cast<int>(ended.pid), static_cast<int>(ended.status)};
  }
  Result<std::optional<Happened>> operator()(const record::Opening& opening) const {
    if (!changes_files(opening.flags)) return std::nullopt;
    Opened out;
    out.by = by;
    out.path = opening.path;
    out.flags = opening.flags;
    out.cut = opening.cut;
    out.asked = true;
    return out;
  }
  Result<std::optional<Happened>> operator()(const record::Connecting& connecting) const {
    auto out = connection(connecting.address);
    if (!out) return std::nullopt;
    out->by = by;
    out->asked = true;
    return std::move(*out);
  }

  Who by;
};

Result<Who> by_whom(const record::Happened& what) {
  return std::visit(
      [](const auto& one) -> Result<Who> {
        if constexpr (requires { one.by; }) {
          if (!is_pid(one.by.pid) || !is_pid(one.by.thread)) return nonsense("process id");
          return Who{static_cast<int>(one.by.pid), static_cast<int>(one.by.thread)};
        }
        return Who{};
      },
      what);
}

class Machine final : public Teller {
 public:
  explicit Machine(UniqueFd stream) : stream_(std::move(stream)) {}

  std::string_view name() const override { return "machine"; }
  int fd() const override { return stream_.get(); }

  Result<std::optional<Told>> next() override {
    BH_TRY(const std::optional<record::Said> said, said_next());
    if (!said) return std::nullopt;
    if (done_) return nonsense("more after its end");
    if (std::holds_alternative<record::Done>(said->what)) {
      done_ = true;
      // Where there is no place for one byte, the machine has not read what it never gets.
      (void)::send(stream_.get(), &record::heard, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
      return Told{said->unsent, std::nullopt};
    }
    return told_by_machine(*said).map([](Told told) { return std::optional<Told>(std::move(told)); });
  }

  bool is_done() const override { return done_; }

  Result<std::optional<record::Said>> said_next() {
    for (;;) {
      std::string_view rest = std::string_view(bytes_).substr(at_);
      BH_TRY(const std::optional<std::string_view> body, record::next_frame(rest));
      if (body) {
        at_ = bytes_.size() - rest.size();
        return record::decode(*body).map([](record::Said said) { return std::optional(std::move(said)); });
      }
      BH_TRY(const bool more, read());
      if (!more) return std::nullopt;
    }
  }

 private:
  // Never more than a frame is held back.
  Result<bool> read() {
    bytes_.erase(0, std::exchange(at_, 0));
    const std::size_t before = bytes_.size();
    while (stream_) {
      bytes_.resize(before + piece);
      const ssize_t n = ::recv(stream_.get(), bytes_.data() + before, piece, MSG_DONTWAIT);
      const int error = errno;
      bytes_.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
      if (n > 0) return true;
      if (n < 0 && error == EINTR) continue;
      if (n < 0 && error == EAGAIN) return false;
      stream_.reset();
    }
    return false;
  }

  UniqueFd stream_;
  std::string bytes_;
  std::size_t at_ = 0;  // what stands before it was taken
  bool done_ = false;
};

}  // namespace

Result<Told> told_by_machine(const record::Said& said) {
  BH_TRY(const Who by, by_whom(said.what));
  Told told;
  told.unsent = said.unsent;
  BH_TRY(told.what, std::visit(Reading{by}, said.what));
  return told;
}

Result<std::unique_ptr<Teller>> greet_machine(int supervisor, UniqueFd stream) {
  auto machine = std::make_unique<Machine>(std::move(stream));
  for (;;) {
    BH_TRY(const bool speaks, wait_for(machine->fd(), supervisor));
    if (!speaks) return nullptr;
    BH_TRY(const std::optional<record::Said> said, machine->said_next());
    if (machine->fd() < 0) {  // it ended; why, somebody else says
      BH_CHECK(wait_for(-1, supervisor));
      return nullptr;
    }
    if (!said) continue;
    const auto* hello = std::get_if<record::Hello>(&said->what);
    if (hello == nullptr || hello->version != record::version) return nonsense("no greeting");
    return machine;
  }
}

}  // namespace bulkhead::trace
