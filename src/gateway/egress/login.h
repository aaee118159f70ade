// The agent's login that this egress holds (Credential::Source::login): its tokens, refreshes one after the other, and
// the way to the process that has its file (credential/login_messages.h). The access tokens are among the context's
// issued values, so that requests find them by number; here are the others.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/fd.h"
#include "credential/login_messages.h"
#include "gateway/egress/issued.h"
#include "gateway/egress/scrub.h"
#include "gateway/gateway.h"
#include "gateway/grant/refresh.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

class HeldLogin {
 public:
  HeldLogin(boost::asio::io_context& io, Login login, TokenSlot slot);

  // The first tokens, and the socket they came on.
  Result<void> give(LoginTokens tokens, UniqueFd socket, IssuedValues& issued);
  // They are not needed again.
  void forget();
  bool under_way() const { return taken_; }
  void add_to(Patterns& patterns) const;
  const Login& login() const { return login_; }
  const TokenSlot& slot() const { return slot_; }

  // One refresh, from when nobody else's is under way to its end. Ends of it that bring nothing are told, too.
  class Turn {
   public:
    explicit Turn(HeldLogin& held) : held_(held) {}
    ~Turn() { held_.end_turn(stored_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    friend class HeldLogin;
    HeldLogin& held_;
    bool stored_ = false;
  };
  // Waits for it. A failure is what to answer: another session's refresh of the same file takes too long, or the grant
  // is gone.
  boost::asio::awaitable<tl::expected<std::unique_ptr<Turn>, lane::Failure>> begin(IssuedValues& issued);

  // With the real refresh token; the caller wipes it.
  std::string body(const grant::RefreshFields& fields, bool form) const;

  // What an answer of the token endpoint comes to.
  struct Answer {
    std::string body;                     // for the workload: JSON, with the session's tokens
    std::optional<std::uint32_t> number;  // of the new access token; unset: there is none, and the status says why
    bool rotated = false, written = false;
    std::string why;  // it is not written
  };
  // Keeps new tokens and has them written. `status` 200 and nothing else brings some. A failure: it can't be
  // understood, and nothing of it may pass.
  tl::expected<Answer, lane::Failure> finish(Turn& turn, std::uint16_t status, std::string_view body,
                                             IssuedValues& issued);

 private:
  struct Fresh {
    LoginTokens tokens;
    std::uint64_t expires_in = 0;
    std::string passed;  // what else of the answer the workload gets: members of an object
  };
  tl::expected<Fresh, lane::Failure> understand(std::string_view body, const IssuedValues& issued) const;
  Result<bool> store(const StoreRequest& request, std::string& why);
  void keep_from_workload(Secret token);
  void take_over(LoginTokens tokens);
  void end_turn(bool stored);

  const Login login_;
  const TokenSlot slot_;
  LoginTokens tokens_;
  std::deque<Secret> earlier_;  // refresh and ID tokens that were: still to be kept from the workload
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer free_;  // cancelled when a turn ends
  bool taken_ = false, forgotten_ = false;
};

}  // namespace bulkhead::egress
