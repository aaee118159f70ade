// What is known of hosts that many people share. Data for lint and explain, never for a decision: a host that is
// missing here costs a hint, nothing else.
#pragma once

#include <string_view>

#include "policy/policy.h"

namespace bulkhead::advice {

// One host, many owners: a key of the workload's, or anybody's place there, is a way out.
struct SharedHost {
  static constexpr int in_name = -1;
  // Labels; `*` is one or more of them.
  std::string_view host;
  // Which segment of the path names whose it is, from 0; in_name: the label in front does.
  int owner = 0;
  std::string_view what;  // "repositories of everybody"
};
// nullptr: not known as one.
const SharedHost* shared_host(std::string_view host);
// Does the rule say whose place it is, at this host of its grant's?
bool names_owner(const SharedHost& shared, std::string_view host, const Rule& rule);

// Made for asking other servers on somebody's behalf (translators, archives, relays), or for leaving data where whoever
// has the address finds it (paste bins, file drops, request catchers, chat hooks). What it does, or empty.
std::string_view fetches(std::string_view host);
std::string_view takes_drops(std::string_view host);

// A query key whose value tends to be an address that the server then asks.
bool names_address(std::string_view query_key);
// A path segment of functions that keep what they are sent.
bool keeps_uploads(std::string_view segment);

}  // namespace bulkhead::advice
