// One connection of `bulkhead mcp --socket`, in a thread of its own: reads a request, answers it, and again. Everything
// it waits for ends, so a client that is slow or silent keeps one thread waiting and nobody else.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "mcp/clients.h"
#include "mcp/request.h"

namespace bulkhead::mcp {

struct SocketLimits {
  std::chrono::milliseconds idle{300'000};    // between requests
  std::chrono::milliseconds request{30'000};  // from a request's first byte to its last
  std::chrono::milliseconds write{30'000};    // without the client taking a byte
  std::chrono::milliseconds linger{2'000};    // for a client that is still sending to read why it is refused
  std::chrono::milliseconds quiet{15'000};    // until a call that takes longer says that it goes on
  std::size_t connections = 64;               // the one that waits for longest makes room for the next
  std::size_t bodies = 128U << 20;            // of all that are being read, together
  http::Limits http{.head = 16U << 10, .headers = 64, .target = 1024};
};

// What the connections share.
struct Served {
  Session& session;
  SocketLimits limits;
  Clients clients = {};
  std::atomic<std::size_t> bodies = 0;
};

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  // `socket` is connected and non-blocking.
  Connection(UniqueFd socket, Served& served) : socket_(std::move(socket)), served_(served) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Until it is over.
  void run();

  // By any thread, while run() does:
  void hang_up();
  bool calling() const { return calling_; }
  Clock::time_point waits_since() const { return Clock::time_point(Clock::duration(since_.load())); }

 private:
  class Held;
  class Events;

  bool serve_one();
  bool read_head(http::RequestReader& reader, Clock::time_point& until);
  bool read_body(http::RequestReader& reader, Clock::time_point until, Held& body);
  bool refuse(const Reply& reply);
  bool answer_post(const http::RequestHead& head, std::string_view body);
  bool answer_delete(const http::RequestHead& head);
  bool answer_in_session(const http::RequestHead& head, const Incoming& incoming);
  bool answer_alone(const http::RequestHead& head, const Incoming& incoming);
  bool answer(const http::RequestHead& head, const Incoming& incoming, lane::Headers more = {});
  bool call(const http::RequestHead& head, const Incoming& incoming, const std::string& client);
  bool send(const Reply& reply, bool keep);

  bool fill(Clock::time_point until);
  bool write(std::string_view bytes);
  void linger();

  UniqueFd socket_;
  Served& served_;
  std::string waiting_;  // read, and not yet understood
  std::atomic<bool> calling_ = false;
  std::atomic<Clock::rep> since_ = Clock::now().time_since_epoch().count();
};

}  // namespace bulkhead::mcp
