// What in a policy opens more than it seems to: `bulkhead policy check`. The policy is a good one as far as the loader
// is concerned; these are second thoughts, each with the line it is about and how to write it better.
//
//   credential-wildcard  a credential where anybody's place matches: `/**`, or a wildcard for the owner
//   shared-host          a host of many owners, and the rule does not say whose place it is
//   wildcard-host        names are data to whoever runs the zone
//   unbounded-budget     nothing bounds what may leave
//   no-max-body          a writing method without a largest body
//   open-query           `query = ["*"]`
//   open-headers         `headers = ["*"]`
//   private-address      an address of the inside
//   plain-http           readable and changeable on the way
//   opaque-grant         a protocol that can't be judged
//   server-fetch         a function that makes the server ask other servers
//   upload-function      a function that keeps what it is sent, next to a credential
//   drop-host            a host made for leaving data
//   never-matches        a rule that no request can match
//   covered-rule         a rule that another makes superfluous, or worse: that another undoes
//   never-refreshed      a login that no grant lets be refreshed
//   live-control         a folder in which the session can change what the host's tools run
//   allowed-control      the same of what `allow_control` names
//   command-source       a credential that is a program's output
//   credential-in-mount  a credential's file where the workload can read it
//   public-port          a published port that other machines reach
//   unchecked-address    the proxy resolves names
//   proxy-password       sent to the proxy unencrypted
//   unused-credential    a credential no grant uses
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/layers.h"
#include "policy/policy.h"

namespace bulkhead::advice {

enum class Severity { warning, note };  // a note is true as well, and often meant

struct Finding {
  std::string code;  // one of the above; stable
  Severity severity = Severity::warning;
  Origin origin;     // where to look
  std::string text;  // what it opens; one line, safe to print
  std::string fix;   // how to write it; one line, safe to print
};

// By file and line. `place`: what relative paths are meant against. No file is looked at.
std::vector<Finding> lint(const Policy& policy, const Place& place);

const char* name_of(Severity severity);
// `FILE:LINE: warning: TEXT; FIX [code]`, and a line break.
std::string finding_line(const Finding& finding);
nlohmann::json to_json(const Finding& finding);

}  // namespace bulkhead::advice
