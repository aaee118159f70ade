// Every place in a head where a credential can hide. The workload's only one is the grant's slot,
// with exactly the session's token in it; anything else could be somebody else's key, and data
// would leave through an allowed host into a foreign account.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/gateway.h"
#include "gateway/grant/target.h"
#include "gateway/lane.h"

namespace bulkhead::grant {

// A header's name as a server may come to see it: everything but letters and digits turned into
// `-`. Gateway interfaces (CGI, WSGI, Rack) hand `x_api_key`, `x.api.key` and `x-api-key` to the
// program under one name, so they are one name to every list here. `name` is lower case; the view
// points into `name` or `scratch`.
std::string_view folded_name(std::string_view name, std::string& scratch);

// `name` is lower case. Known by name, or by what such names look like.
bool carries_credential(std::string_view name);
// `key` is decoded. Also the parameters of signed URLs. Case and punctuation make no difference:
// `$key`, `key[]`, `Access-Token` and `access_token` are read as the same by one server or another.
bool query_carries_credential(std::string_view key);
// A Sec-WebSocket-Protocol header's list.
bool protocol_carries_credential(std::string_view list);
// Does a server that knows this key act on another method than the request's?
bool query_overrides(std::string_view key);

struct CarrierVerdict {
  bool ok = false;
  bool slot_filled = false;
  std::uint32_t issued = 0;  // the number behind the token, where the slot has one
  std::uint16_t status = 403;
  std::string reason, text;  // when not ok; Decision::reason and ::text
};

// `slot`: of the grant's credential, or null. `tokens`: all of this session, which have no business
// anywhere else.
CarrierVerdict judge_carriers(const lane::Headers& headers, std::string_view raw_target, const Target& target,
                              const TokenSlot* slot, const std::vector<TokenSlot>& tokens);

// The header the slot is, lower case.
std::string_view slot_header(const TokenSlot& slot);

}  // namespace bulkhead::grant
