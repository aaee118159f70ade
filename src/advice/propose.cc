#include "advice/propose.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>

#include "advice/advice.h"
#include "advice/draft.h"
#include "advice/trial.h"
#include "base/text.h"
#include "gateway/grant/address.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/grant.h"
#include "gateway/grant/host.h"
#include "gateway/grant/target.h"
#include "policy/load.h"
#include "policy/names.h"

namespace bulkhead::advice {
namespace {

// What is kept apart, whatever a workload asks for; beyond it things are counted together.
constexpr std::size_t most_places = 200, most_calls = 5'000, most_keys = 64, most_refusals = 60;

bool is_inside(const std::string& host) {
  std::array<std::uint8_t, 16> bytes{};
  const std::string bare(grant::without_brackets(host));
  if (::inet_pton(AF_INET, bare.c_str(), bytes.data()) == 1) {
    return grant::why_not_dialled(std::span(bytes).first(4)).has_value();
  }
  return ::inet_pton(AF_INET6, bare.c_str(), bytes.data()) == 1 && grant::why_not_dialled(bytes).has_value();
}

constexpr const char* inside_is_never_proposed =
    "an address of the inside is never proposed: whoever grants one has to know what listens there";
constexpr const char* only_the_token =
    "only the session's own token may be sent; if that key is yours, take it out of the session and define it as a "
    "[credential]";

std::string why_refused(const RecordedRequest& request) {
  if (request.method.empty()) return "not a request that every reader understands alike";
  if (request.rule == "host-mismatch") return "it named another host than the one it had connected to";
  if (request.rule == "override") return "it asked for something other than what was judged";
  if (request.rule == "carrier") return "it had the session's token where it is not exchanged";
  if (request.rule == "scheme") return "it was plain HTTP where HTTPS is spoken";
  return "it means one thing to one reader and another to the next";
}

}  // namespace

void Learner::see(const Event& event) {
  if (const auto* start = std::get_if<SessionStart>(&event)) start_ = *start;
  if (const auto* policy = std::get_if<SessionPolicy>(&event)) policy_ = *policy;
  if (const auto* request = std::get_if<RecordedRequest>(&event)) see_request(*request);
  if (const auto* tunnel = std::get_if<RecordedTunnel>(&event)) see_tunnel(*tunnel);
  if (const auto* refusal = std::get_if<RecordedRefusal>(&event)) {
    refuse(refusal->what + " to " + (refusal->name.empty() ? refusal->address : refusal->name) + ":" +
               std::to_string(refusal->port),
           "not HTTP that Bulkhead could judge; a grant with protocol = \"tcp\" would let it through unseen");
  }
  if (const auto* failure = std::get_if<RecordedFailure>(&event); failure != nullptr && failure->reason == "address") {
    if (inside_.size() < most_places) inside_.emplace(failure->host, failure->port);
  }
}

void Learner::refuse(const std::string& what, const std::string& why) {
  const std::string shown = escape_for_terminal(what, 160);
  const auto found = refused_.find({shown, why});
  if (found != refused_.end()) {
    ++found->second;
  } else if (refused_.size() < most_refusals) {
    refused_.emplace(std::pair(shown, why), 1);
  } else {
    ++unlisted_refusals_;
  }
}

void Learner::see_tunnel(const RecordedTunnel& tunnel) {
  const std::string what = "an opaque connection to " + tunnel.host + ":" + std::to_string(tunnel.port);
  const std::string host(grant::without_brackets(tunnel.host));
  if (grant::canonical_host(tunnel.host) != tunnel.host || !check_host(host) || tunnel.port == 0 || tunnel.port == 53) {
    return refuse(what, "its host has no canonical name");
  }
  if (is_inside(host)) return refuse(what, inside_is_never_proposed);
  const Where where{host, "tcp", "", tunnel.port};
  if (!places_.contains(where) && places_.size() >= most_places) {
    ++left_out_;
    return;
  }
  Place& seen = places_[where];
  ++seen.allowed;
  seen.up += tunnel.up;
  seen.down += tunnel.down;
}

void Learner::see_request(const RecordedRequest& request) {
  ++requests_;
  if (request.allowed) ++allowed_;
  const std::string place = request.host + ":" + std::to_string(request.port);
  if (request.method.empty()) return refuse("something to " + place, why_refused(request));
  const std::string what = request.method + " " + place;
  const auto authority = grant::parse_authority(request.host);
  if (!authority || !check_host(grant::without_brackets(authority->host))) {
    return refuse(what, "its host has no canonical name");
  }
  if (refused_by_any_policy(request)) return refuse(what, why_refused(request));
  if (is_inside(authority->host)) return refuse(what, inside_is_never_proposed);
  if (!request.allowed && request.rule == "address" && inside_.size() < most_places) {
    inside_.emplace(std::string(grant::without_brackets(authority->host)), request.port);
  }
  if (!check_method(request.method)) return refuse(what, "no grant can name its method");
  const bool plain = request.scheme == name_of(Protocol::http) || request.scheme == name_of(Protocol::ws);
  if (!plain && request.scheme != name_of(Protocol::https) && request.scheme != name_of(Protocol::wss)) {
    return refuse(what, "a protocol no grant can name");
  }
  if (request.port == 0 || request.port == 53) return refuse(what, "a port no grant can name");
  if (request.target.size() >= longest_recorded_target) {
    return refuse(what, "its path is longer than what is recorded of one");
  }
  const auto target = grant::split_target(request.target);
  if (!target) return refuse(what, "its path means one thing to one server and another to the next");

  const auto old = policy_.grants.find(request.grant);
  const std::string granted = old == policy_.grants.end() ? "" : old->second.credential;
  if (old != policy_.grants.end() && !old->second.address.empty()) {
    return refuse(what, "its grant says which address it means, which is yours to say again: copy that grant");
  }
  const bool foreign =
      request.detailed ? !request.credentials.empty() && !request.slot : request.rule == "foreign-credential";
  if (foreign || request.rule == "foreign-credential") {
    const std::string where = request.credentials.empty() ? "" : " with a key in " + request.credentials.front();
    return refuse(what + where, only_the_token);
  }
  for (const std::string& key : target->query_keys) {
    if (grant::query_carries_credential(key)) return refuse(what + " with a key in the query", only_the_token);
    if (grant::query_overrides(key)) return refuse(what, "it asked for something other than what was judged");
    if (key == "*" || !check_query_key(key)) return refuse(what, "no grant can name one of its query keys");
  }
  for (const std::string& name : request.headers) {
    if (name.find('*') != std::string::npos || !check_request_header(name) || !grant::needs_listing(name)) {
      return refuse(what, "no grant can name one of its headers");
    }
  }
  const bool used = request.detailed ? request.slot || request.rule == "credential" : request.allowed;
  const std::string credential = used && check_name(granted) ? granted : "";
  if (!credential.empty() && plain) {
    return refuse(what, "a credential never travels over plain " + request.scheme);
  }

  const std::string type = lower_ascii(request.content_type.substr(0, request.content_type.find_first_of("; \t")));
  const bool grpc = request.http2 && request.scheme == "https" && request.method == "POST" &&
                    (type == "application/grpc" || type.starts_with("application/grpc+")) && !target->has_query &&
                    check_grpc_path(target->path);
  Where where{std::string(grant::without_brackets(authority->host)), grpc ? "grpc" : request.scheme, credential,
              request.port};
  auto at = places_.find(where);
  if (at == places_.end()) {
    if (places_.size() >= most_places) {
      ++left_out_;
      return;
    }
    at = places_.emplace(std::move(where), Place{}).first;
  }
  Place& seen = at->second;
  ++(request.allowed ? seen.allowed : seen.denied);
  seen.up += request.up;

  Call call{request.method, std::string(target->path), {}};
  if (writes(request.method) && check_media_type(type)) call.content_type = grpc ? "application/grpc" : type;
  Asked* const kept = asked_for(seen, std::move(call), target->segments);
  if (kept == nullptr) {
    ++seen.left_out;
    return;
  }
  Asked& asked = *kept;
  ++(request.allowed ? asked.allowed : asked.denied);
  for (const std::string& key : target->query_keys) {
    if (asked.query.size() < most_keys) asked.query.insert(key);
  }
  for (const std::string& name : request.headers) {
    const bool its_own = grpc && name.starts_with("grpc-");  // gRPC's, which no rule lists
    if (asked.headers.size() < most_keys && !its_own) asked.headers.insert(name);
  }
  asked.largest = std::max(asked.largest, std::max(request.up, request.length));
  const bool known = request.allowed || (request.detailed && request.body != RecordedRequest::Body::streamed);
  if (!known && writes(request.method)) asked.any_size = true;
}

// Where to count it; nullptr: there are too many different calls.
Learner::Asked* Learner::asked_for(Place& place, Call call, const std::vector<std::string_view>& segments) {
  if (const auto it = place.calls.find(call); it != place.calls.end()) return &it->second;
  std::string shape = call.method + " " + call.content_type;
  std::vector<std::string> made_up;
  for (const std::string_view segment : segments) {
    const bool varies = looks_made_up(segment);
    shape += varies ? "/*" : "/=" + std::string(segment);
    if (varies) made_up.emplace_back(segment);
  }
  auto known = place.shapes.find(shape);
  if (known != place.shapes.end() && !made_up.empty() &&
      std::ranges::all_of(known->second.values, [](const auto& values) { return values.size() >= several; })) {
    return &place.calls.at(known->second.first);
  }
  if (calls_ >= most_calls) return nullptr;
  ++calls_;
  if (known == place.shapes.end()) {
    known = place.shapes.emplace(shape, Shape{call, std::vector<std::set<std::string>>(made_up.size())}).first;
  }
  for (std::size_t i = 0; i < made_up.size(); ++i) known->second.values[i].insert(made_up[i]);
  return &place.calls[std::move(call)];
}

Result<std::string> Learner::proposal(const std::string& session, const Known& known) const {
  Draft draft(known);
  draft.note("Proposed by `bulkhead policy init --from " + session + "`. It grants nothing until you put it to use.");
  draft.note("");
  draft.note(
      "Read it first. It allows what the session asked for, whether that was allowed or denied then, and a "
      "session that was led astray asked for what it was led to.");
  draft.note(
      "Leave out what you can't explain. `bulkhead policy check` and `bulkhead policy explain` say what it opens.");
  draft.note("");
  std::string command = join(start_.command, " ");
  draft.note("The session ran: " + command.substr(0, 200) +
             (start_.profile.empty() ? "" : " (profile " + start_.profile + ")") + ". It made " +
             std::to_string(requests_) + " requests; " + std::to_string(requests_ - allowed_) + " were denied.");
  draft.begin(start_.profile);

  const auto inside = [&](const Where& where) { return inside_.contains({where.host, where.port}); };
  bool any = false;
  for (const bool denied_only : {false, true}) {
    bool first = true;
    for (const auto& [where, place] : places_) {
      if ((place.allowed == 0) != denied_only || inside(where)) continue;
      if (denied_only && std::exchange(first, false)) {
        draft.gap();
        draft.note("---- All of what follows was denied, every time. Is it needed? ----");
      }
      if (where.scheme == "tcp") {
        draft.tunnel(where, place);
      } else {
        draft.place(where, place);
      }
      any = true;
    }
  }
  if (!any) {
    draft.gap();
    draft.note("The session asked for nothing that a grant could allow.");
  }

  std::map<std::pair<std::string, std::string>, std::uint64_t> refused = refused_;
  for (const auto& [where, place] : places_) {
    if (!inside(where)) continue;
    refused[{escape_for_terminal(where.host, 160) + ":" + std::to_string(where.port),
             "its name led to an address of the inside, which is dialled only where a grant names it (`address`)"}] +=
        place.allowed + place.denied;
  }
  if (!refused.empty() || unlisted_refusals_ > 0) {
    draft.gap();
    draft.note("Never granted, by this or any policy:");
    for (const auto& [what, count] : refused) {
      draft.note("  " + what.first + " (" + std::to_string(count) + "): " + what.second);
    }
    if (unlisted_refusals_ > 0) draft.note("  and " + std::to_string(unlisted_refusals_) + " more of other kinds");
  }
  if (left_out_ > 0) {
    draft.gap();
    draft.note(std::to_string(left_out_) + " requests to more hosts are left out: too many to list.");
  }

  // What would not load is not handed out, whatever made it so.
  std::string text = draft.text();
  if (auto loads = load_document(text, "the proposal", "user"); !loads) return tl::unexpected(std::move(loads).error());
  return text;
}

Result<std::string> Learner::single() const {
  if (places_.size() != 1 || !inside_.empty() || !refused_.empty() || left_out_ > 0) {
    return fail(refused_.empty() ? "no grant can name it" : refused_.begin()->first.second);
  }
  const Known nothing;
  Draft draft(nothing);
  if (!draft.single(places_.begin()->first, places_.begin()->second)) return fail("no grant can name it");
  return draft.text();
}

std::string starting_policy() {
  return R"(# What sessions of `bulkhead run` may see, reach and use. bulkhead-policy(5) has every key.
# As it stands, a session has the folder it was started in, its tools, no network and no secret.
version = 1

# The rules of one agent (`bulkhead policy profiles` lists them). Without this line, the one named like the command.
# profile = "claude"

# Be asked at the terminal about requests that no grant allows, as by `bulkhead run --ask`.
# ask = true

# Another folder of the host, read-only.
# [[mount]]
# path = "~/data"

# A secret stays on the host. The session finds a token in this variable, and the token is exchanged in this header.
# [credential.example]
# source = "env:EXAMPLE_API_KEY"
# expose = { env = "EXAMPLE_API_KEY" }
# carry = { header = "x-api-key" }

# A set of functions that comes with Bulkhead: what `npm install` needs.
# [[grant]]
# preset = "npm-install"

# Single functions of a host. What no rule names stays shut.
# [[grant]]
# host = "api.example.com"
# credential = "example"
# [[grant.allow]]
# method = "POST"
# path = "/v1/items/{id}"
# content_type = "application/json"
# max_body = "1MB"
# [grant.budget]
# requests_per_minute = 60
# bytes_up = "20MB"

# [limits]
# memory = "4GB"
# duration = "4h"

# A session that was denied something says which lines would have allowed it. For all of them at once:
#   bulkhead policy init --from last
)";
}

}  // namespace bulkhead::advice
