// May this request go up? Front has judged it; egress trusts that no further than its own copy of
// the grants. Here is also what only time and number show: budgets, expiry, how many names of a wildcard were used.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "gateway/gateway.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

class Permits {
 public:
  Permits(std::vector<Grant> grants, std::string credential, TokenSlot slot);
  ~Permits();
  Permits(const Permits&) = delete;
  Permits& operator=(const Permits&) = delete;

  struct Permit {
    const Grant* grant = nullptr;
    const Rule* rule = nullptr;
    bool use_credential = false;
    std::string id;
  };

  // Counts the request against the grant's budget, and leaves in its headers only what may go upstream. Failures are
  // what to answer: 400, 403, 405, 413, 429; the request's strings are then still whole.
  tl::expected<Permit, lane::Failure> judge(lane::Request& request);

  // From now on these grants hold and no others. Permits given before stay valid to look at; whether what they allowed
  // may go on is for the caller (gateway/live.h).
  void replace(std::vector<Grant> grants);

  // The same for an opaque connection; Permit::rule is null.
  tl::expected<Permit, lane::Failure> judge(const lane::Tunnel& tunnel);

  // Body bytes that moved. A failure: that is more than the budget has left, or the grant has expired; stop.
  std::optional<lane::Failure> count_up(const Permit& permit, std::size_t bytes);
  std::optional<lane::Failure> count_down(const Permit& permit, std::size_t bytes);

  // Why the grant holds no more, if its time is over.
  std::optional<lane::Failure> expired(const Permit& permit) const;

 private:
  struct Entry;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::string credential_;
  std::vector<TokenSlot> slots_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace bulkhead::egress
