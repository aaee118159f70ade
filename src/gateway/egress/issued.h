// The values of a credential that servers hand out during the session (Credential::Source::answer): taken out of their
// answers, kept here, and known outside only by number. The workload holds the session's token with that number behind
// it, and egress puts the value in where the slot of a request says so.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "credential/exchange.h"
#include "credential/secret.h"
#include "gateway/egress/scrub.h"
#include "gateway/gateway.h"

namespace bulkhead::egress {

class IssuedValues {
 public:
  explicit IssuedValues(TokenSlot slot) : slot_(std::move(slot)) {}

  // Why `value` can't be one: not fit for a header, or not to be told from other text when it comes back.
  std::optional<std::string> unfit(std::string_view value) const;
  // Keeps a copy and says its number. A value that is known keeps the number it has, and counts as new; past
  // max_issued the oldest is forgotten. Fails for what is unfit, and when there are no more numbers: none means two
  // values in one session.
  Result<std::uint32_t> keep(std::string_view value);

  // Null: never handed out, or forgotten.
  const CredentialHeader* find(std::uint32_t number) const;
  std::string_view header_name() const;
  // What the workload gets in place of the value.
  std::string token(std::uint32_t number) const;
  // Of all that are kept.
  Patterns patterns() const;
  void forget() { values_.clear(); }

 private:
  struct One {
    std::uint32_t number;
    Secret value;
    CredentialHeader header;
  };
  const TokenSlot slot_;
  std::deque<One> values_;  // the oldest first
  std::uint32_t last_ = 0;
};

}  // namespace bulkhead::egress
