#include "relay/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/ipc.h"
#include "base/sys.h"

namespace bulkhead::relay {
namespace {

using Clock = std::chrono::steady_clock;

// One direction of a connection: what was read and not written yet.
struct Stream {
  std::vector<char> bytes;
  std::size_t begin = 0, end = 0;
  bool ended = false;   // nothing more comes from its source
  bool closed = false;  // its sink has been told so
  std::uint64_t total = 0;

  bool waiting() const { return end > begin; }
  bool has_room() const { return end < bytes.size(); }
};

struct Link {
  enum class State { asked, connecting, open };
  State state = State::asked;
  const Port* port = nullptr;
  bool ipv6 = false;  // the second try
  UniqueFd outside, inside;
  std::string peer;
  Stream in, out;  // from the host, from the workload
  Clock::time_point since, moved;
};

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  std::uint16_t port = 0;
  if (address.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    port = ntohs(in->sin_port);
    return std::string(text) + ":" + std::to_string(port);
  }
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address);
  ::inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(in6->sin6_port));
}

// False: the connection broke.
bool read_some(int from, Stream& stream) {
  const ssize_t n = ::recv(from, stream.bytes.data() + stream.end, stream.bytes.size() - stream.end, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  stream.ended = n == 0;
  stream.end += static_cast<std::size_t>(n);
  stream.total += static_cast<std::uint64_t>(n);
  return true;
}

bool write_some(int to, Stream& stream) {
  const ssize_t n =
      ::send(to, stream.bytes.data() + stream.begin, stream.end - stream.begin, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  stream.begin += static_cast<std::size_t>(n);
  if (stream.begin == stream.end) stream.begin = stream.end = 0;
  return true;
}

class Relay {
 public:
  Relay(int supervisor, UniqueFd holder, evidence::Recorder recorder, std::vector<Port> ports, const Limits& limits)
      : supervisor_(supervisor),
        holder_(std::move(holder)),
        recorder_(std::move(recorder)),
        ports_(std::move(ports)),
        limits_(limits) {}

  Result<void> run() {
    for (;;) {
      std::vector<pollfd> fds = wanted();
      if (::poll(fds.data(), fds.size(), links_.empty() ? -1 : 1000) < 0 && errno != EINTR) {
        return fail_errno("poll", "", errno);
      }
      if (fds[0].revents != 0) break;  // it says nothing; its end is ours
      if ((fds[1].revents & (POLLHUP | POLLERR)) != 0) return fail("evidence is gone");
      BH_CHECK(move_bytes(fds));  // first: `fds` is about the links as they were
      if (fds[2].revents != 0) BH_CHECK(answered());
      for (std::size_t i = 0; i < ports_.size(); ++i) {
        if (fds[3 + i].revents != 0) BH_CHECK(accept(i));
      }
    }
    for (const Link& link : links_) BH_CHECK(record_end(link, "ended"));
    for (const Port& port : ports_) BH_CHECK(say_unanswered(port));
    return {};
  }

 private:
  // The supervisor, evidence, the holder, each port, then the two ends of each link in order. A link that waits for
  // nothing at one end is not asked about there: only that it is over would be said, over and over.
  std::vector<pollfd> wanted() {
    std::vector<pollfd> fds{{supervisor_, POLLIN, 0}, {recorder_.socket(), 0, 0}, {holder_.get(), POLLIN, 0}};
    const bool room = links_.size() < limits_.links;
    for (const Port& port : ports_) fds.push_back({room ? port.listener.get() : -1, POLLIN, 0});
    for (const Link& link : links_) {
      short outside = 0, inside = 0;
      if (link.state == Link::State::open) {
        outside = events(link.in, link.out);
        inside = events(link.out, link.in);
      } else if (link.state == Link::State::connecting) {
        inside = POLLOUT;
      }
      fds.push_back({outside != 0 ? link.outside.get() : -1, outside, 0});
      fds.push_back({inside != 0 ? link.inside.get() : -1, inside, 0});
    }
    return fds;
  }

  static short events(const Stream& from, const Stream& to) {
    return static_cast<short>((!from.ended && from.has_room() ? POLLIN : 0) | (to.waiting() ? POLLOUT : 0));
  }

  Result<void> accept(std::size_t index) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    UniqueFd outside(::accept4(ports_[index].listener.get(), reinterpret_cast<sockaddr*>(&address), &size,
                               SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!outside) return {};  // it has gone again
    Link link;
    link.port = &ports_[index];
    link.outside = std::move(outside);
    link.peer = text_of(address);
    link.since = link.moved = Clock::now();
    links_.push_back(std::move(link));
    return ask(links_.back());
  }

  Result<void> ask(Link& link) {
    const auto index = static_cast<char>(link.port - ports_.data());
    const char question[] = {index, link.ipv6 ? '6' : '4'};
    BH_CHECK(ipc::send(holder_.get(), std::string_view(question, sizeof question)));
    asked_.push_back(&link);
    return {};
  }

  Result<void> answered() {
    BH_TRY(ipc::Message message, ipc::receive(holder_.get()));
    if (message.closed) return fail("the room's holder is gone");
    if (asked_.empty() || message.fds.size() > 1) return fail("the room's holder said something that makes no sense");
    Link& link = *asked_.front();
    asked_.pop_front();
    if (message.fds.empty()) return refused(link);
    link.inside = std::move(message.fds[0]);
    link.state = Link::State::connecting;
    return {};
  }

  // Nobody listens inside (yet). By IPv4 there may be nobody where by IPv6 there is.
  Result<void> refused(Link& link) {
    link.inside.reset();
    if (!link.ipv6) {
      link.ipv6 = true;
      link.state = Link::State::asked;
      return ask(link);
    }
    refused_.insert(link.port);
    return end(link, "refused");
  }

  // Whoever listens there at a wrong address would wonder.
  Result<void> say_unanswered(const Port& port) {
    if (!refused_.contains(&port) || reached_.contains(&port)) return {};
    auto sent =
        ipc::send(supervisor_, nlohmann::json{{"type", "unanswered"}, {"port", port.port}, {"inside", port.inside}});
    if (!sent && sent.error().code == EPIPE) return {};  // it is gone, too
    return sent;
  }

  Result<void> connected(Link& link) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(link.inside.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return refused(link);
    const int on = 1;
    for (const UniqueFd* fd : {&link.outside, &link.inside}) {
      (void)::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    link.state = Link::State::open;
    reached_.insert(link.port);
    link.moved = Clock::now();
    for (Stream* stream : {&link.in, &link.out}) stream->bytes.resize(limits_.buffer);
    return recorder_.record("publish.open",
                            {{"port", link.port->port}, {"inside", link.port->inside}, {"peer", link.peer}});
  }

  Result<void> move_bytes(const std::vector<pollfd>& fds) {
    const Clock::time_point now = Clock::now();
    std::size_t at = 3 + ports_.size();
    for (auto it = links_.begin(); it != links_.end() && at + 1 < fds.size(); at += 2) {
      Link& link = *it++;  // it may end
      const short outside = fds[at].revents, inside = fds[at + 1].revents;
      if (link.state == Link::State::connecting && inside != 0) {
        BH_CHECK(connected(link));
      } else if (link.state != Link::State::open) {
        if (link.state == Link::State::connecting && now - link.since > limits_.connect) {
          BH_CHECK(end(link, "timeout"));
        }
      } else {
        BH_CHECK(pass(link, outside, inside, now));
      }
    }
    return {};
  }

  Result<void> pass(Link& link, short outside, short inside, Clock::time_point now) {
    const std::uint64_t before = link.in.total + link.out.total;
    const int host = link.outside.get(), room = link.inside.get();
    if ((outside & POLLERR) != 0) return end(link, "client-gone");
    if ((inside & POLLERR) != 0) return end(link, "server-gone");
    if (outside != 0 && !link.in.ended && link.in.has_room() && !read_some(host, link.in)) {
      return end(link, "client-gone");
    }
    if (inside != 0 && !link.out.ended && link.out.has_room() && !read_some(room, link.out)) {
      return end(link, "server-gone");
    }
    if (link.in.waiting() && !write_some(room, link.in)) return end(link, "server-gone");
    if (link.out.waiting() && !write_some(host, link.out)) return end(link, "client-gone");
    for (const auto& [stream, to] : {std::pair(&link.in, room), std::pair(&link.out, host)}) {
      if (!stream->ended || stream->waiting() || stream->closed) continue;
      stream->closed = true;
      (void)::shutdown(to, SHUT_WR);
    }
    if (link.in.closed && link.out.closed) return end(link, "end");
    if (link.in.total + link.out.total != before || (outside | inside) != 0) link.moved = now;
    const bool one_sided = link.in.ended || link.out.ended;
    if (one_sided && now - link.moved > limits_.one_sided) return end(link, "timeout");
    return {};
  }

  Result<void> record_end(const Link& link, const char* reason) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - link.since).count();
    return recorder_.record("publish.end", {{"port", link.port->port},
                                            {"inside", link.port->inside},
                                            {"peer", link.peer},
                                            {"reason", reason},
                                            {"bytes_in", link.in.total},
                                            {"bytes_out", link.out.total},
                                            {"ms", ms}});
  }

  Result<void> end(Link& link, const std::string& reason) {
    BH_CHECK(record_end(link, reason.c_str()));
    if (reason != "end") {  // broken off, and seen as that
      const linger hard{1, 0};
      for (const UniqueFd* fd : {&link.outside, &link.inside}) {
        if (*fd) (void)::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      }
    }
    links_.remove_if([&](const Link& one) { return &one == &link; });
    return {};
  }

  const int supervisor_;
  const UniqueFd holder_;
  evidence::Recorder recorder_;
  const std::vector<Port> ports_;
  const Limits limits_;
  std::list<Link> links_;
  std::set<const Port*> refused_, reached_;
  std::list<Link*> asked_;  // in order; none of them ends before its answer
};

}  // namespace

Result<void> serve(int supervisor, UniqueFd holder, evidence::Recorder recorder, std::vector<Port> ports,
                   const Limits& limits) {
  return Relay(supervisor, std::move(holder), std::move(recorder), std::move(ports), limits).run();
}

}  // namespace bulkhead::relay
