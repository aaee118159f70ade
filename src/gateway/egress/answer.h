// What a grant's [grant.response] makes of one answer: too large, of another kind, held until whole, redacted, relieved
// of what it hands out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/egress/issued.h"
#include "gateway/http/http.h"
#include "gateway/lane.h"
#include "policy/policy.h"

namespace bulkhead::egress {

class AnswerRules {
 public:
  explicit AnswerRules(const ResponseRules& rules) : rules_(rules) {}

  // Does it have to be read as it is: no Content-Encoding, no part of it?
  bool reads() const { return !rules_.redact.empty() || issues(); }
  // Does it hand out values of the credential? They have to be found before anything is scrubbed.
  bool issues() const { return !rules_.issue.empty(); }
  // Is the body kept until it is whole? Then finish() says what front gets.
  bool holds() const { return !rules_.streaming; }

  // A failure is what front answers instead; each is the last word on this answer.
  std::optional<lane::Failure> head(const http::ResponseHead& head);
  std::optional<lane::Failure> more(std::size_t bytes);  // of the body, as they came
  // The whole body, changed in place; only when holds(). What it hands out goes to `values` (null: this egress keeps
  // none), and the numbers it has there to `issued`.
  std::optional<lane::Failure> finish(std::string& body, IssuedValues* values,
                                      std::vector<std::uint32_t>& issued) const;

 private:
  std::optional<lane::Failure> too_large() const;

  const ResponseRules& rules_;
  std::uint64_t bytes_ = 0;
};

}  // namespace bulkhead::egress
