// An HTTP/2 connection from the workload, after the handshake agreed on it: bytes between the client and the session
// (http/h2_session.h), and a coroutine for each stream (h2_exchange.h). Reading and writing go on at once; what
// waits to be written is bounded by the gate, and by the windows.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/front/h2_exchange.h"
#include "gateway/front/judge.h"
#include "gateway/front/stream.h"
#include "gateway/http/h2_session.h"

namespace bulkhead::front {

class H2Connection final : public std::enable_shared_from_this<H2Connection>, private http::H2Handler {
 public:
  // `owner` keeps `stream` and `arrival` alive.
  H2Connection(Shared& shared, std::shared_ptr<void> owner, Stream& stream, const Arrival& arrival);
  ~H2Connection();

  // Until the connection is at its end, and every stream with it.
  Task<void> run();

  // For the exchanges.
  Shared& shared() { return shared_; }
  const Arrival& arrival() const { return arrival_; }
  http::H2Session& session() { return session_; }
  void wake() { write_signal_.notify(); }  // the session has something to send
  void took(std::int32_t stream, std::size_t bytes);
  void done(std::int32_t stream);
  // May so many bytes more be held for streams that egress does not take? All connections together.
  bool may_hold(std::size_t bytes) const;

 private:
  Task<void> write();
  Task<bool> read();
  void begin();
  void leave();

  void on_block(std::int32_t stream, http::H2Block block, bool ended) override;
  void on_data(std::int32_t stream, std::string_view bytes) override;
  void on_end(std::int32_t stream) override;
  void on_closed(std::int32_t stream, std::uint32_t code) override;
  void on_malformed(std::int32_t stream, std::string why) override;
  http::H2Supply on_read(std::int32_t stream, std::span<char> into) override;
  void on_sent_end(std::int32_t stream) override;
  void on_goaway(std::int32_t) override {}
  H2Exchange* find(std::int32_t stream);

  Shared& shared_;
  const std::shared_ptr<void> owner_;
  Stream& stream_;
  const Arrival& arrival_;
  http::H2Session session_;
  std::map<std::int32_t, std::shared_ptr<H2Exchange>> exchanges_;
  std::vector<std::int32_t> opened_;  // exchanges that don't run yet
  std::unique_ptr<char[]> input_;
  Signal write_signal_, written_;
  bool heading_ = false;  // the deadline for a head runs
  bool writing_ = false, leaving_ = false;
  bool lost_ = false;  // the client is gone
};

}  // namespace bulkhead::front
