// What the machine has and lacks. Each probe really tries the primitive, in a forked child with a time limit,
// changes nothing that outlives it, and says what to type when it fails. All run at once: under 300 ms together.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/state/paths.h"

namespace bulkhead::session {

enum class State { ok, degraded, missing };
enum class Kind {
  required,  // missing: no session on the native tier
  useful,    // missing: a guarantee is weaker
  gvisor,    // missing: the tier gvisor can't be used
  vm,        // missing: the tier vm can't be used
};

// What a probe needs to know about its caller.
struct ProbeContext {
  Paths paths;
  bool root = false;
};

struct Finding {
  State state = State::ok;
  std::string found;  // one line: what is there, or why it is not
  std::string costs;  // what is lost beyond the guarantees that name the probe; may be empty
  std::string fix;    // the command to type, or empty
};

struct Probe {
  std::string_view id;
  std::string_view title;
  Kind kind;
  Finding (*run)(const ProbeContext&);
};

struct ProbeResult {
  const Probe* probe;
  Finding finding;
};

std::span<const Probe> probes();

// In table order. A probe that hangs (10 s: a slow machine needs three for bwrap) or crashes is missing and says so.
std::vector<ProbeResult> run_probes(const ProbeContext& context);
// The same for probes and a patience of the caller's (tests).
std::vector<ProbeResult> run_probes(std::span<const Probe> which, const ProbeContext& context,
                                    std::chrono::seconds patience);

// No required probe is missing.
bool usable(const std::vector<ProbeResult>& results);

const char* name_of(State state);

}  // namespace bulkhead::session
