// Takes the credential out of what an upstream sends back: an echo endpoint, an error page or /whoami would
// otherwise hand the workload the real secret.
//
// Every byte that belongs to an occurrence of a pattern becomes '*', so lengths stay what the head announced and
// the result does not depend on how the bytes were cut into chunks. Patterns: the secret as it is, percent-encoded, as
// a JSON string, in hex (either case of the digits), in base64 wherever it stands in what was encoded, and
// base64(user:secret) for Basic; of a key pair each part. Other transformations (reversed, compressed, split by markup)
// are not found: a stated residual.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "credential/secret.h"
#include "gateway/gateway.h"

namespace bulkhead::egress {

class Patterns {
 public:
  Patterns() = default;  // none: nothing is scrubbed
  Patterns(const Secret& secret, const TokenSlot& slot);

  // One more secret. A body that is being scrubbed is from here on scrubbed of it, too.
  void add(const Secret& secret, const TokenSlot& slot);
  bool empty() const { return patterns_.empty(); }
  // In place; for values that are whole (header values).
  void scrub(std::string& text) const;
  // Does `lower_case` contain a pattern, ignoring ASCII case? For header names, which were lower-cased.
  bool in_name(std::string_view lower_case) const;

 private:
  friend class Scrubber;
  void add_one(std::string_view pattern);
  void add_forms(std::string_view raw);
  void add_base64(std::string_view raw, std::size_t before);
  void prepare();
  // Masks in `out` what occurs in `original` (same length). Returns how many bytes at the end could still begin
  // an occurrence.
  std::size_t mask(std::string_view original, char* out) const;

  std::vector<Secret> patterns_;
  std::vector<Secret> lower_;  // the same in lower case, for names
  std::size_t shortest_ = 1;
  std::array<std::uint8_t, 4096> shift_{};
};

// One body. `patterns` outlives it.
class Scrubber {
 public:
  explicit Scrubber(const Patterns& patterns) : patterns_(&patterns) {}
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Appends to `out` what is certain after `chunk`. Only a tail that could begin a pattern stays back.
  void feed(std::string_view chunk, std::string& out);
  // The body has ended: the tail was no occurrence.
  void finish(std::string& out);

 private:
  const Patterns* patterns_;
  std::string tail_;    // as received, to match against
  std::string masked_;  // the same bytes with what already matched masked
};

}  // namespace bulkhead::egress
