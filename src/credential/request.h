// What bulkhead-credential is asked on descriptor 3 (SOCK_SEQPACKET, JSON, docs/formats.md), and what it answers:
//
//   {"type":"read","credentials":[…],"uid":U,"gid":G}   for each credential as many sockets attached as it has
//                                                    recipients, in order; `uid` is null, or who to become for good
//                                                    once all are read
//   {"type":"results","results":[…]}                 its answer: what became of each, never the value
//   {"type":"release"}                               now each value goes over its socket, and the process ends
//
// When the socket closes before that, nothing goes anywhere.
#pragma once

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

struct ReadRequest {
  std::vector<Credential> credentials;  // name, source, source_value, carrier and optional count
  std::vector<std::size_t> recipients;  // of each
  std::optional<std::pair<uid_t, gid_t>> become;
};

struct ReadResult {
  std::string name;
  std::string error;     // empty: it was read
  bool missing = false;  // the source is not there; otherwise it is there and wrong
  std::vector<std::string> notes;
};

nlohmann::json to_json(const ReadRequest& request);
nlohmann::json to_json(const std::vector<ReadResult>& results);
Result<ReadRequest> read_request_from(const nlohmann::json& object);
Result<std::vector<ReadResult>> read_results_from(const nlohmann::json& object);

}  // namespace bulkhead
