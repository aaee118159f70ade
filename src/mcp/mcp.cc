#include "mcp/mcp.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <mutex>
#include <thread>

#include "base/fd.h"
#include "base/sys.h"
#include "mcp/call.h"
#include "mcp/ends.h"
#include "mcp/protocol.h"
#include "mcp/serve_socket.h"

namespace bulkhead::mcp {
namespace {

using nlohmann::json;

class Server {
 public:
  explicit Server(Session& session) : session_(session) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    session_.end();
    for (Call& call : calls_) call.wanted.cancelled = true;
    for (Call& call : calls_) call.thread.join();
  }

  void take(std::string_view line) {
    reap(calls_);
    const Heard heard = hear(line);
    if (!heard.refusal.is_null()) return say(heard.refusal);
    if (!heard.incoming) return;
    const Incoming& incoming = *heard.incoming;
    if (incoming.id.is_null()) return notified(incoming);
    if (incoming.method == "tools/call") return begin(incoming);
    json answer = answer_at_once(incoming);
    say(answer.is_null() ? error_of(incoming.id, method_not_found, "there is no method " + incoming.method)
                         : std::move(answer));
  }

  void say(const json& message) {
    const std::scoped_lock held(output_);
    if (!sys::write_all(STDOUT_FILENO, line_of(message), "standard output")) deaf_ = true;
  }
  bool deaf() const { return deaf_; }

 private:
  struct Call {
    json id;
    std::thread thread;
    Wanted wanted;
    std::atomic<bool> over = false;
  };

  void notified(const Incoming& incoming) {
    if (incoming.method != "notifications/cancelled") return;
    for (Call& call : calls_) {
      if (call.id == incoming.params.value("requestId", json())) call.wanted.cancelled = true;
    }
  }

  void begin(const Incoming& incoming) {
    if (calls_.size() >= max_calls) return say(error_of(incoming.id, invalid_request, too_many_calls));
    Call& call = calls_.emplace_back();
    call.id = incoming.id;
    call.thread = std::thread([this, &call, incoming] {
      const json answer = answer_call(session_, incoming, call.wanted, {.tell = [this](const json& m) { say(m); }});
      if (!answer.is_null()) say(answer);
      call.over = true;
    });
  }

  Session& session_;
  std::list<Call> calls_;  // this thread's
  std::mutex output_;
  std::atomic<bool> deaf_ = false;
};

}  // namespace

Result<int> serve(const Config& config) {
  (void)::signal(SIGPIPE, SIG_IGN);
  if (!config.socket.empty()) return serve_socket(config);
  // Agents end a server by closing its input, or by a signal, and wait for neither for long.
  BH_TRY(const UniqueFd told, receive_ending_signals());
  BH_TRY(Session session, Session::make(config));
  Server server(session);
  std::string waiting;
  char buffer[1 << 16];
  while (!server.deaf()) {
    pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {told.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    if (fds[1].revents != 0) break;
    if (fds[0].revents == 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    waiting.append(buffer, static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = waiting.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view line(waiting.data() + begin, end - begin);
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) server.take(line);
    }
    waiting.erase(0, begin);
    if (waiting.size() > max_line) return fail("a message is longer than 32 MiB");
  }
  return 0;
}

}  // namespace bulkhead::mcp
