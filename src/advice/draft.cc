#include "advice/draft.h"

#include <algorithm>

#include "advice/advice.h"
#include "advice/trial.h"
#include "base/text.h"
#include "gateway/grant/target.h"
#include "policy/names.h"
#include "policy/show.h"
#include "policy/toml.h"
#include "policy/units.h"

namespace bulkhead::advice {
namespace {

constexpr std::size_t rules_to_read = 12;            // beyond it a preset is easier to judge
constexpr std::size_t most_rules = 40;               // of one grant
constexpr std::size_t most_grant_bytes = 80 * 1024;  // well below what a policy may hold (policy/layers.cc)
constexpr std::uint64_t least_body = 64'000;

// 1, 2 or 5 times a power of ten, at least `n`.
std::uint64_t round_up(std::uint64_t n) {
  for (std::uint64_t power = 1; power < UINT64_MAX / 100; power *= 10) {
    for (const std::uint64_t digit : {1, 2, 5}) {
      if (digit * power >= n) return digit * power;
    }
  }
  return n;
}
std::uint64_t times(std::uint64_t n, std::uint64_t factor) {
  return n > 1'000'000'000'000'000 ? n : n * factor;
}

std::string list_text(const std::set<std::string>& words) {
  return toml_list({words.begin(), words.end()});
}

std::string percent_encoded(const std::string& key) {
  std::string out;
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(c);
    out += plain ? std::string(1, c) : std::string{'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
  }
  return out;
}

// A request that stands for all that asked for one function.
RecordedRequest example(const Learner::Where& where, const Learner::Call& call, const Learner::Asked& asked,
                        const std::string& slot) {
  RecordedRequest request;
  request.method = call.method;
  request.http2 = where.scheme == "grpc";
  request.scheme = request.http2 ? "https" : where.scheme;
  request.host = where.host.find(':') == std::string::npos ? where.host : "[" + where.host + "]";
  request.port = where.port;
  request.target = call.path;
  for (const std::string& key : asked.query) {
    request.target += (request.target.size() == call.path.size() ? "?" : "&") + percent_encoded(key) + "=1";
  }
  request.detailed = true;
  request.content_type = call.content_type;
  request.headers.assign(asked.headers.begin(), asked.headers.end());
  request.body = writes(call.method) ? RecordedRequest::Body::length : RecordedRequest::Body::none;
  request.length = asked.largest;
  if (!slot.empty()) {
    request.credentials = {slot};
    request.slot = true;
  }
  return request;
}

// How many of the calls those grants allow, as far as heads show.
std::size_t covered(const std::vector<Grant>& grants, const Known& known, const Learner::Where& where,
                    const Learner::Place& place) {
  Policy policy;
  policy.grants = grants;
  policy.credentials = known.credentials;
  const Trial trial(policy);
  std::string slot;
  if (const auto it = known.credentials.find(where.credential); it != known.credentials.end()) {
    slot = it->second.carrier == Credential::Carrier::header ? it->second.header : "authorization";
  }
  RecordedGrant old;
  old.credential = where.credential;
  return static_cast<std::size_t>(std::ranges::count_if(place.calls, [&](const auto& entry) {
    const TrialAnswer answer = trial.judge(example(where, entry.first, entry.second, slot), &old);
    return answer.verdict == Verdict::allow || (answer.verdict == Verdict::unknown && answer.reason == "body");
  }));
}

void merge(Learner::Asked& into, const Learner::Asked& from) {
  into.allowed += from.allowed;
  into.denied += from.denied;
  into.query.insert(from.query.begin(), from.query.end());
  into.headers.insert(from.headers.begin(), from.headers.end());
  into.largest = std::max(into.largest, from.largest);
  into.any_size = into.any_size || from.any_size;
}

std::string times_text(std::uint64_t n) {
  return n == 1 ? "once" : std::to_string(n) + " times";
}

std::string asked_text(std::uint64_t allowed, std::uint64_t denied) {
  const std::string all = "asked " + times_text(allowed + denied);
  return denied == 0 ? all : all + (allowed == 0 ? ", always denied" : ", denied " + times_text(denied));
}

}  // namespace

void Draft::note(const std::string& text) {
  const std::string safe = escape_for_terminal(text, 2000);
  out_ += safe.empty() ? "#\n" : "# " + safe + "\n";
}

void Draft::begin(const std::string& session_profile) {
  head_ = std::move(out_);
  out_.clear();
  head_ += "version = 1\n";
  if (!known_.profile.empty()) {
    head_ += "profile = " + toml_string(known_.profile) + "  # its own rules come behind these\n";
  } else if (!session_profile.empty()) {
    head_ += "# The profile " + escape_for_terminal(session_profile, 80) + " is not there any more.\n";
  }
}

std::string Draft::text() const {
  return head_ + credentials_ + out_;
}

std::vector<Draft::Rule> Draft::rules_of(const Learner::Place& place) {
  // Calls that differ only in made-up segments belong together.
  struct Written {
    Learner::Call call;
    std::vector<std::string> segments;
    const Learner::Asked* asked;
  };
  std::map<std::vector<std::string>, std::vector<Written>> shapes;
  for (const auto& [call, asked] : place.calls) {
    const auto target = grant::split_target(call.path);
    if (!target) continue;
    Written one{call, segments_of(grant::template_for(*target)), &asked};
    std::vector<std::string> shape{call.method, call.content_type};
    for (const std::string& segment : one.segments) shape.push_back(looks_made_up(segment) ? "*" : "=" + segment);
    shapes[std::move(shape)].push_back(std::move(one));
  }
  std::map<Learner::Call, Learner::Asked> templates;
  for (auto& [shape, calls] : shapes) {
    for (std::size_t i = 0; i < calls.front().segments.size(); ++i) {
      if (shape[i + 2] != "*") continue;
      std::set<std::string> values;
      for (const Written& one : calls) values.insert(one.segments[i]);
      if (values.size() < several) continue;
      for (Written& one : calls) one.segments[i] = "{id}";
    }
    for (const Written& one : calls) {
      merge(templates[{one.call.method, "/" + join(one.segments, "/"), one.call.content_type}], *one.asked);
    }
  }
  // Reading methods of one path are one rule.
  std::vector<Rule> rules;
  for (const auto& [call, asked] : templates) {
    const auto same = std::ranges::find_if(rules, [&, &wanted = call](const Rule& rule) {
      return !writes(wanted.method) && !writes(rule.methods.front()) && rule.path == wanted.path;
    });
    if (same != rules.end()) {
      same->methods.push_back(call.method);
      merge(same->asked, asked);
    } else {
      rules.push_back({{call.method}, call.path, call.content_type, asked});
    }
  }
  std::ranges::sort(rules, [](const Rule& a, const Rule& b) {
    return std::tie(a.path, a.methods, a.content_type) < std::tie(b.path, b.methods, b.content_type);
  });
  return rules;
}

bool Draft::covered_by_profile(const Learner::Where& where, const Learner::Place& place) const {
  return !known_.profile_grants.empty() && covered(known_.profile_grants, known_, where, place) == place.calls.size();
}

std::string Draft::choose_preset(const Learner::Where& where, const Learner::Place& place, std::size_t rules) {
  for (const auto& [name, named] : known_.presets) {
    std::vector<Grant> grants = named;
    bool plain = false, judges = false;
    for (Grant& grant : grants) {
      grant.credential = where.credential;
      plain = plain || is_plain(grant.protocol);
      judges = judges || std::ranges::any_of(grant.allow, [](const auto& rule) { return rule.json.has_value(); });
    }
    if (plain && !where.credential.empty()) continue;
    const std::size_t some = covered(grants, known_, where, place);
    if (some == 0) continue;
    if (some < place.calls.size()) {
      note("Preset " + name + " allows " + std::to_string(some) + " of these " + std::to_string(place.calls.size()) +
           " calls, and more.");
    } else if (judges || rules > rules_to_read) {
      note(judges ? "A preset, because it judges what bodies say, which a record does not show."
                  : "A preset, because what was asked for would be " + std::to_string(rules) + " rules.");
      return name;
    } else {
      note("Preset " + name + " allows all of this, and more: preset = \"" + name + "\"");
    }
  }
  return {};
}

// The line that names it, once it is defined where the grant is.
std::string Draft::credential(const Learner::Where& where) {
  if (where.credential.empty()) return {};
  const auto it = known_.credentials.find(where.credential);
  if (it == known_.credentials.end()) {
    note("It was asked with credential " + where.credential +
         ", which your policy does not define now. Define it, then add here: credential = \"" + where.credential +
         "\"");
    return {};
  }
  if (it->second.source == Credential::Source::answer || it->second.source == Credential::Source::login) {
    note("It was asked with what changes during a session, credential " + where.credential +
         ", and a record does not show where: take these grants from your policy as they are.");
    return {};
  }
  const bool from_profile = !known_.profile.empty() && it->second.origin.layer == "profile " + known_.profile;
  if (!from_profile && defined_.insert(where.credential).second) credentials_ += credential_text(it->second);
  return "credential = " + toml_string(where.credential) + "\n";
}

// About what it comes to as JSON, which is how grants are handed on.
std::size_t Draft::weight(const Rule& rule) {
  std::size_t bytes = rule.path.size() + 400;
  for (const auto* words : {&rule.asked.query, &rule.asked.headers}) {
    for (const std::string& word : *words) bytes += 2 * word.size() + 4;
  }
  return bytes;
}

void Draft::place(const Learner::Where& where, const Learner::Place& place) {
  gap();
  const bool usual = where.port == usual_port(is_plain(where.scheme));
  note(where.scheme + "://" + where.host + (usual ? "" : ":" + std::to_string(where.port)) + ": " +
       asked_text(place.allowed, place.denied));
  if (covered_by_profile(where, place)) {
    note("The profile " + known_.profile + " allows all of it.");
    return;
  }
  std::vector<Rule> rules = rules_of(place);
  if (rules.empty()) {
    note("Too many different calls to list.");
    return;
  }
  if (const std::string preset = choose_preset(where, place, rules.size()); !preset.empty()) {
    const std::string named = credential(where);
    if (!presets_.emplace(preset, named).second) {
      note("It is used above.");
      return;
    }
    out_ += "[[grant]]\npreset = " + toml_string(preset) + "\n" + named;
    return;
  }
  std::size_t left_out = place.left_out;
  std::size_t fits = 0;
  while (fits < std::min(rules.size(), most_rules) && grant_bytes_ + weight(rules[fits]) <= most_grant_bytes) {
    grant_bytes_ += weight(rules[fits++]);
  }
  for (std::size_t i = fits; i < rules.size(); ++i) left_out += rules[i].asked.allowed + rules[i].asked.denied;
  rules.resize(fits);
  if (left_out > 0) {
    note("It was asked for more: " + std::to_string(left_out) +
         " requests are left out here. A template such as "
         "/v1/** would allow them all, and more.");
  }
  if (rules.empty()) return;
  const std::string named = credential(where);
  write_head(where, named);
  for (const Rule& rule : rules) write_rule(rule, where.scheme);
  write_budget(place, rules);
}

void Draft::write_head(const Learner::Where& where, const std::string& credential) {
  out_ += "[[grant]]\nhost = " + toml_string(where.host) + "\n";
  if (where.scheme != "https") out_ += "protocol = " + toml_string(where.scheme) + "\n";
  if (where.port != usual_port(is_plain(where.scheme))) out_ += "port = " + std::to_string(where.port) + "\n";
  out_ += credential;
}

bool Draft::single(const Learner::Where& where, const Learner::Place& place) {
  const std::vector<Rule> rules = rules_of(place);
  if (rules.size() != 1) return false;
  write_head(where, where.credential.empty() ? "" : "credential = " + toml_string(where.credential) + "\n");
  write_rule(rules.front(), where.scheme, false);
  return true;
}

void Draft::tunnel(const Learner::Where& where, const Learner::Place& place) {
  gap();
  note("An opaque connection, made " + times_text(place.allowed) + ": Bulkhead cannot see inside it.");
  out_ += "[[grant]]\nhost = " + toml_string(where.host) + "\nport = " + std::to_string(where.port) +
          "\nprotocol = \"tcp\"\n[grant.budget]  # four times what was used\nrequests = " +
          std::to_string(round_up(times(place.allowed, 4))) + "\n";
  for (const auto& [key, bytes] : {std::pair{"bytes_up", place.up}, std::pair{"bytes_down", place.down}}) {
    out_ += std::string(key) + " = " + toml_string(size_text(round_up(times(std::max(bytes, least_body), 4)))) + "\n";
  }
}

namespace {

// Twice the largest that was sent.
std::uint64_t body_limit(const Learner::Asked& asked) {
  if (asked.largest == 0) return asked.any_size ? 1'000'000 : 0;
  return round_up(std::max(times(asked.largest, 2), least_body));
}

}  // namespace

void Draft::write_rule(const Rule& rule, const std::string& scheme, bool with_count) {
  const Learner::Asked& asked = rule.asked;
  // Each has one method of its own, which a rule does not name.
  const bool grpc = scheme == name_of(Protocol::grpc);
  const bool with_method = !grpc && scheme != name_of(Protocol::wss) && scheme != name_of(Protocol::ws);
  out_ += "[[grant.allow]]" + (with_count ? "  # " + asked_text(asked.allowed, asked.denied) : std::string()) + "\n";
  if (with_method)
    out_ +=
        "method = " + (rule.methods.size() == 1 ? toml_string(rule.methods.front()) : toml_list(rule.methods)) + "\n";
  out_ += "path = " + toml_string(rule.path) + "\n";
  if (!asked.query.empty()) out_ += "query = " + list_text(asked.query) + "\n";
  if (!asked.headers.empty()) out_ += "headers = " + list_text(asked.headers) + "\n";
  if (!writes(rule.methods.front())) return;
  if (!rule.content_type.empty() && !grpc) out_ += "content_type = " + toml_string(rule.content_type) + "\n";
  const std::uint64_t limit = body_limit(asked);
  out_ += "max_body = " + (limit == 0 ? "0" : toml_string(size_text(limit))) +
          (!with_count          ? "\n"
           : limit == 0         ? "  # none was sent\n"
           : asked.largest == 0 ? "  # how large it would have been is not recorded\n"
                                : "\n");
}

void Draft::write_budget(const Learner::Place& place, const std::vector<Rule>& rules) {
  out_ += "[grant.budget]  # four times what was asked for\nrequests = " +
          std::to_string(round_up(times(place.allowed + place.denied, 4))) + "\n";
  std::uint64_t up = place.up;
  for (const Rule& rule : rules) {
    if (writes(rule.methods.front())) up = std::max(up, body_limit(rule.asked));
  }
  if (up > 0) out_ += "bytes_up = " + toml_string(size_text(round_up(times(up, 4)))) + "\n";
}

}  // namespace bulkhead::advice
