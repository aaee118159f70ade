#include "trace/sentry.h"

#include <errno.h>
#include <sys/socket.h>

#include <string>

#include "trace/wait.h"

namespace bulkhead::trace {
namespace {

class Sentry final : public Teller {
 public:
  explicit Sentry(UniqueFd socket) : socket_(std::move(socket)), buffer_(max_datagram, '\0') {}

  std::string_view name() const override { return "gvisor"; }
  int fd() const override { return socket_.get(); }
  // What is told of has waited until it was sent.
  bool is_done() const override { return true; }

  Result<std::optional<Told>> next() override {
    for (;;) {
      if (!socket_) return std::nullopt;
      const ssize_t n = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return std::nullopt;
      if (n <= 0) {
        socket_.reset();
        return std::nullopt;
      }
      const auto size = static_cast<std::size_t>(n);
      if (size > buffer_.size()) return fail("gVisor said something that makes no sense (its length)");
      return decode(std::string_view(buffer_.data(), size)).map([](Told told) {
        return std::optional<Told>(std::move(told));
      });
    }
  }

 private:
  UniqueFd socket_;
  std::string buffer_;
};

}  // namespace

Result<std::unique_ptr<Teller>> greet_sentry(int supervisor, UniqueFd listener) {
  BH_TRY(const bool connects, wait_for(listener.get(), supervisor));
  if (!connects) return nullptr;
  UniqueFd sentry(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!sentry) return fail_errno("accept4", "gVisor", errno);
  listener.reset();  // one, and nobody after it
  BH_TRY(const bool speaks, wait_for(sentry.get(), supervisor));
  if (!speaks) return nullptr;
  char buffer[1024];
  const ssize_t n = ::recv(sentry.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return fail("gVisor connected and said nothing");
  BH_CHECK(check_greeting(std::string_view(buffer, static_cast<std::size_t>(n))));
  const std::string answer = greeting();
  if (::send(sentry.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return fail_errno("send", "gVisor", errno);
  return std::make_unique<Sentry>(std::move(sentry));
}

}  // namespace bulkhead::trace
