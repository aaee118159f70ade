#include "mcp/serve_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <list>
#include <system_error>
#include <thread>

#include "base/peer.h"
#include "base/text.h"
#include "mcp/connection.h"
#include "mcp/ends.h"
#include "mcp/listener.h"

namespace bulkhead::mcp {
namespace {

constexpr int pause = 100;  // milliseconds, where there are no descriptors left to accept with

class Server {
 public:
  Server(Session& session, UniqueFd ended) : served_{session, {}}, ended_(std::move(ended)) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    served_.session.end();
    served_.clients.cancel_all();
    for (Open& one : open_) one.connection.hang_up();
    for (Open& one : open_) one.thread.join();
  }

  bool full() const { return open_.size() >= served_.limits.connections; }
  int ended() const { return ended_.get(); }

  void accept(int listener) {
    if (full()) return make_room();
    while (!full()) {
      UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) (void)::poll(nullptr, 0, pause);
        return;
      }
      if (!judge(socket.get())) continue;
      Open& one = open_.emplace_back(std::move(socket), served_);
      try {
        one.thread = std::thread([this, &one] {
          one.connection.run();
          one.over = true;
          (void)::eventfd_write(ended_.get(), 1);
        });
      } catch (const std::system_error&) {  // no more threads for this user: this client is the one to hear of it
        open_.pop_back();
        return;
      }
    }
  }
  // Is somebody still to go before there is room for who waits?
  bool makes_room() const { return makes_room_; }

  void tidy() {
    eventfd_t count = 0;
    (void)::eventfd_read(ended_.get(), &count);
    if (reap(open_) > 0) makes_room_ = false;
  }

 private:
  struct Open {
    Open(UniqueFd socket, Served& served) : connection(std::move(socket), served) {}
    Connection connection;
    std::atomic<bool> over = false;
    std::thread thread;
  };

  static bool judge(int socket) {
    const Peer peer = peer_of(socket, ::geteuid());
    if (peer == Peer::ours) return true;
    const Reply no = refused(403, invalid_request,
                             peer == Peer::elsewhere ? "this server is not for programs inside a container or a session"
                                                     : "this server is another user's");
    const std::string body = line_of(no.body);
    const std::string answer = http::serialise_response(no.status, {{"content-type", "application/json"}},
                                                        lane::BodyKind::length, body.size(), false) +
                               body;
    (void)::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
    return false;
  }

  // Who has been waiting longest for something to do, or has been sending or reading for longest, goes.
  void make_room() {
    Open* oldest = nullptr;
    for (Open& one : open_) {
      if (one.over) return;
      if (one.connection.calling()) continue;
      if (oldest == nullptr || one.connection.waits_since() < oldest->connection.waits_since()) oldest = &one;
    }
    if (oldest == nullptr) return;
    oldest->connection.hang_up();
    makes_room_ = true;
  }

  Served served_;
  UniqueFd ended_;  // counts connections that are over
  std::list<Open> open_;
  bool makes_room_ = false;
};

}  // namespace

Result<int> serve_socket(const Config& config) {
  BH_TRY(const UniqueFd told, receive_ending_signals());
  UniqueFd ended(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended) return fail_errno("eventfd", "", errno);
  BH_TRY(Session session, Session::make(config));
  BH_TRY(Listener listener, Listener::open(config.socket));
  Server server(session, std::move(ended));
  std::printf("%s\n", escape_for_terminal(config.socket, config.socket.size()).c_str());
  (void)std::fflush(stdout);
  for (;;) {
    pollfd fds[] = {
        {told.get(), POLLIN, 0}, {server.ended(), POLLIN, 0}, {server.makes_room() ? -1 : listener.fd(), POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    if (fds[0].revents != 0) break;
    if (fds[1].revents != 0) server.tidy();
    if (fds[2].revents != 0) server.accept(listener.fd());
  }
  listener.remove();
  return 0;
}

}  // namespace bulkhead::mcp
