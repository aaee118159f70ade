// The one table of what Bulkhead promises: `doctor`, a session's first line and docs/guarantees.md are made from
// it. Adding a guarantee is one row in guarantees.cc; a row needs an attack whose test fails when the primitive is
// taken away, and that names the attack's id.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace bulkhead::session {

struct Guarantee {
  std::string_view id;         // stable: policies may require it, evidence names it
  std::string_view sentence;   // the promise
  std::string_view primitive;  // what enforces it, with the version it came in
  std::string_view tiers;      // names, space-separated
  std::string_view attacks;    // ids that tests carry (tests/attacks.tsv, *_test.cc), space-separated
  std::string_view probes;     // ids of probe.h it can't hold without, space-separated
};

std::span<const Guarantee> guarantees();

// What is not promised, so that nobody reads it into the above.
std::span<const std::string_view> residuals();

// docs/guarantees.md, whole.
std::string guarantees_markdown();

bool holds_on(const Guarantee& guarantee, Tier tier);

// The guarantees that cost something when `probe` is not there.
std::vector<const Guarantee*> guarantees_needing(std::string_view probe);

struct Missing {
  std::string guarantee;  // id
  std::string what;       // a few words: "Landlock ABI 2: no scoping"
};
// For the session's first line: what this machine can't give, found in microseconds (Landlock's ABI; everything
// else a session needs either works or stops it with its own error). `bulkhead doctor` says the rest.
std::vector<Missing> start_line_missing(Tier tier);

// Likewise, what the policy gives up.
std::vector<Missing> missing_by_policy(const Policy& policy);

}  // namespace bulkhead::session
