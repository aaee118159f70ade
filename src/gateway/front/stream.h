// One connection from the workload: plain TCP, or TLS once handshake() succeeded. Bounded in time: every wait ends at
// the deadline, which the server's sweep enforces with check_deadline().
#pragma once

#include <string>
#include <string_view>

#include "gateway/front/io.h"
#include "gateway/tls/server_context.h"

namespace bulkhead::front {

class Stream {
 public:
  // `socket` is connected and non-blocking.
  Stream(asio::io_context& context, UniqueFd socket);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Task<bool> handshake(const tls::ServerContext& context, tls::Handshake& handshake);
  bool is_tls() const { return ssl_ != nullptr; }
  // Did the handshake agree on HTTP/2?
  bool speaks_h2() const;

  // Waits until there is something to read (or the end). False: deadline, abandoned, or an error.
  Task<bool> readable();
  // At least one byte; 0: the end, an error, the deadline, or stop_reading().
  Task<std::size_t> read(char* into, std::size_t size);
  // As read(), of what is here already; 0: nothing is, and read() says why.
  std::size_t read_now(char* into, std::size_t size);
  // A body is on its way up: reads are worth larger buffers.
  void expect_much(bool on);
  // All of it, giving the client `patience` for each step.
  Task<bool> write(std::string_view bytes, std::chrono::milliseconds patience);

  // The first bytes without taking them; only before the handshake.
  std::string_view peek_raw(char* into, std::size_t size);
  // Takes `size` bytes that were peeked at. False: they are gone.
  bool discard_raw(std::size_t size);
  // Nothing more is written: the client sees the end, and may go on sending. Without TLS only.
  void end_writing();

  // Tells the client nothing more will come and reads on for a while: closing with unread bytes would make the
  // kernel send a reset, which can overtake the answer.
  Task<void> linger(std::chrono::milliseconds patience, std::size_t limit);

  // Calls `gone` when the client closes while nobody reads. Stays armed until something happens on the socket;
  // unwatch() makes it forget `gone`.
  void watch(const std::weak_ptr<void>& owner, std::function<void()> gone);
  void unwatch() { gone_ = nullptr; }

  // For reading; write() has one of its own.
  void set_deadline(std::chrono::milliseconds from_now) { read_deadline_ = Clock::now() + from_now; }
  void clear_deadline() { read_deadline_ = Clock::time_point::max(); }
  void check_deadline(Clock::time_point now);
  // Did reading end because of the deadline? Writing is possible again afterwards, for one last answer.
  bool take_expired();

  // Wakes a pending read(), which then returns 0; for good.
  void stop_reading();
  // Ends every wait, now and later.
  void abandon();

 private:
  enum class Step { done, want_read, want_write, end };
  Step try_read(char* into, std::size_t size, std::size_t& got);
  Step try_write(std::string_view bytes, std::size_t& put);
  Step tls_step(int result);
  Task<bool> wait(Wait::wait_type direction);
  enum class Peek { nothing, data, gone };
  Peek peek();
  void arm(const std::weak_ptr<void>& owner);

  Descriptor socket_;
  tls::SslPtr ssl_;
  Clock::time_point read_deadline_ = Clock::time_point::max();
  Clock::time_point write_deadline_ = Clock::time_point::max();
  std::function<void()> gone_;
  bool armed_ = false;
  bool expired_ = false;
  bool abandoned_ = false;
  bool stopped_ = false;
};

}  // namespace bulkhead::front
