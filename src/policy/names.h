// What single words in a policy may look like: hosts, paths, methods, variable names. Each check
// returns the canonical word or an error that says what is wrong with it and how to write it;
// nothing is repaired in silence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead {

// `text` in quotes for an error message, escaped and cut short: it may come from a file nobody
// trusts.
std::string in_quotes(std::string_view text);

// The word probably meant, or empty: one with two neighbouring letters swapped ("teir"), else the
// nearest (base/text.h).
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

// A lower-case host name (`api.example.com`), a wildcard for exactly one more label
// (`*.example.com`, at least two labels after the star), or an address: dotted IPv4, or IPv6 as
// inet_ntop writes it, without brackets.
Result<void> check_host(std::string_view host);

// Is it an address as check_host() takes it?
bool is_address(std::string_view host);

// A path template: starts with `/`; a segment is literal text (RFC 3986 pchar, percent-encoding in
// canonical form), `*` or `{name}` (any one segment), `{name}:verb` (any text without a colon, then
// the verb), or, last only, `**`. No empty segment but the last, no `.` or `..`.
Result<void> check_path_template(std::string_view path);

// A gRPC method: `/package.Service/Method`, or `/package.Service/*` for all of a service's.
Result<void> check_grpc_path(std::string_view path);

// A registered method in upper case; CONNECT and TRACE are never grantable.
Result<void> check_method(std::string_view method);

// type/subtype in lower case, without parameters.
Result<void> check_media_type(std::string_view type);

// One key of a query, as a closed list names it.
Result<void> check_query_key(std::string_view key);

// One of a closed list of request headers: a name in lower case, the start of one and `*`, or `*`.
Result<void> check_request_header(std::string_view name);

// One entry of a rule's closed list: a key, `*`, or `key=value` (decoded; a final `*` stands for any rest).
Result<void> check_query_entry(std::string_view entry);

// A package as registries name it, in any case: `left-pad`, `@types/node`.
Result<void> check_package(std::string_view name);

// A header that can carry a credential; returns it in lower case. Framing, routing and hop-by-hop
// ones can't.
Result<std::string> check_carrier_header(std::string_view name);

// [A-Za-z_][A-Za-z0-9_]*
Result<void> check_variable(std::string_view name);

// Names of credentials, presets, profiles: [a-z0-9-], starting with a letter or digit, at most 64
// characters.
Result<void> check_name(std::string_view name);

// A host path as a mount says it: absolute, `~`, `~/…` or relative. No `~user`, no control
// character.
Result<void> check_path(std::string_view path);

// A path below a mount: relative, canonical, no `..`.
// A pattern of control files, as trust/pattern.h reads it: `.github/hooks`, `*.code-workspace`, `.claude/commands/**`.
Result<void> check_control_pattern(std::string_view text);
Result<void> check_inner_path(std::string_view path);

// "ADDRESS", "ADDRESS:PORT" or "[IPv6]:PORT".
Result<void> check_dns_server(std::string_view server);

}  // namespace bulkhead
