// `bulkhead run --ask`: what becomes of a request that no grant allows, when there is a person to ask. This is the
// logic; ask.h puts it between front, the terminal and the grants that hold.
//
// Whoever sends the questions may be a front that was taken over. It gets the person asked a few times a minute, in
// words and with grants that are made here, and nothing else: what an answer grants is what the policy's own checks and
// grant/ took for exactly what was shown, with no credential that does not go to that host already (advice/offer.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "advice/offer.h"
#include "base/result.h"
#include "gateway/question.h"
#include "gateway/tls/token_bucket.h"
#include "guest/protocol.h"

namespace bulkhead::session {

struct AskBounds {
  double per_minute = 4;                       // shown; as many at once
  std::size_t in_all = 100;                    // shown
  std::size_t waiting = 16;                    // not shown yet
  std::size_t remembered = 1000;               // answered with no
  std::size_t recorded = 100;                  // not asked for being too many
  std::chrono::milliseconds patience{60'000};  // of the person; then the answer is no
};

// What asking stands on. An error of any of these ends the session.
class AskWorld {
 public:
  virtual ~AskWorld() = default;

  virtual shim::WindowSize window() const = 0;
  // False: not now.
  virtual bool show(const std::vector<std::string>& lines, const std::string& keys) = 0;
  virtual bool showing() const = 0;  // false: it was closed, by what ends or suspends a session
  virtual std::optional<char> key() = 0;
  virtual void hide() = 0;

  virtual bool busy() const = 0;  // grants are being changed
  virtual const std::vector<Grant>& held() const = 0;
  virtual Result<void> can_grant(const std::vector<Grant>& grants) const = 0;
  // Recorded as ask.answer with `fields`, on the disk before it holds. `kept`: in the user's policy file. Their ids.
  virtual Result<std::vector<std::string>> grant(const std::vector<Grant>& grants, bool kept,
                                                 nlohmann::json fields) = 0;
  virtual Result<void> withdraw(const std::vector<std::string>& ids) = 0;
  // Into the user's policy file. An error: it is as it was, and the session goes on.
  virtual Result<void> keep(const std::string& toml) = 0;
  virtual Result<void> record(const char* type, const nlohmann::json& fields) = 0;
  virtual Result<void> answer(std::uint64_t number) = 0;  // to front: judge again
};

// What may be said of a question on the screen beside what it asks.
struct AskShown {
  std::string command;                     // the session's
  std::string file;                        // where `always` writes; empty: there is none
  std::string no_file;                     // … and why
  std::chrono::seconds left;               // until it is answered with no
  std::set<std::string> credentials = {};  // that `file` defines
};
// Why the answer can't be `always`; empty: it can. A grant whose credential another file defines (a profile) would be
// an error in every session without that.
std::string why_not_always(const AskShown& shown, const advice::Offer& offer);
// The question for a window of that size; empty: it does not fit, and can't be asked.
std::vector<std::string> question_lines(const Question& question, const advice::Offer& offer, const AskShown& shown,
                                        const shim::WindowSize& window);

class Asking {
 public:
  using Clock = std::chrono::steady_clock;

  // `world` outlives it. `known`: presets that can stand for a grant.
  Asking(AskWorld& world, advice::Known known, AskShown shown, AskBounds bounds = {});

  // From front. An error: it broke the protocol.
  Result<void> asked(Question question, Clock::time_point now);
  Result<void> ended(std::uint64_t number, Clock::time_point now);
  // A turn of the supervisor's loop.
  Result<void> step(Clock::time_point now);
  std::optional<Clock::time_point> deadline() const;
  // The window's size is another.
  Result<void> resized(Clock::time_point now);
  // Nothing more is asked; what waits is denied.
  Result<void> close(Clock::time_point now);

  // For the person, at the end; escaped.
  std::vector<std::string> summary() const;

 private:
  struct Open {
    Question question;
    advice::Offer offer;
    Clock::time_point since;
    std::optional<char> key = std::nullopt;  // pressed; it waits for the grants to be at rest
  };
  Result<void> next(Clock::time_point now);
  Result<void> decline(const Question& question, bool too_many);
  Result<void> decide(char key, Clock::time_point now);
  Result<void> deny(const char* answer, Clock::time_point now, const std::string& why = "");
  std::string keys(const advice::Offer& offer) const;

  AskWorld& world_;
  const advice::Known known_;
  const AskShown shown_;
  const AskBounds bounds_;
  TokenBucket rate_;
  std::size_t left_in_all_;
  std::uint64_t last_ = 0;
  std::deque<Question> waiting_;
  std::optional<Open> open_;
  std::optional<std::uint64_t> applying_;                   // granted, and not in force everywhere
  std::map<std::uint64_t, std::vector<std::string>> once_;  // of requests that are under way
  std::vector<std::string> over_;                           // of requests that have ended
  std::set<std::string> refused_;
  std::uint64_t not_asked_ = 0;
  std::size_t recorded_ = 0;
  bool closed_ = false;
  std::vector<std::string> notes_;
};

}  // namespace bulkhead::session
