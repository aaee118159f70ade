#include "advice/replay.h"

#include <algorithm>
#include <numeric>

#include "advice/advice.h"
#include "base/text.h"
#include "gateway/grant/host.h"
#include "policy/json.h"

namespace bulkhead::advice {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t most_kinds = 2000;
constexpr std::size_t longest_what = 300;

}  // namespace

const char* name_of(Change change) {
  static constexpr std::array<const char*, changes> names{"same_allowed", "same_denied", "blocked", "opened",
                                                          "unknown"};
  return names[static_cast<std::size_t>(change)];
}

void Replay::begin(const std::string& session) {
  session_ = session;
  old_ = {};
  began_.reset();
  labels_.clear();
  meters_.clear();
}

void Replay::judge_by(const Policy& policy) {
  if (policy_ == &policy) return;
  policy_ = &policy;
  trial_ = std::make_unique<Trial>(policy);
  fingerprints_.clear();
  for (const Grant& grant : policy.grants) fingerprints_.emplace(grant.id, fingerprint(grant));
}

void Replay::see(const Event& event) {
  if (const auto* start = std::get_if<SessionStart>(&event)) began_ = time_of(start->time);
  if (const auto* policy = std::get_if<SessionPolicy>(&event)) old_ = *policy;
  if (const auto* request = std::get_if<RecordedRequest>(&event)) judge(*request);
  if (const auto* tunnel = std::get_if<RecordedTunnel>(&event)) {
    judge_connection(tunnel->host, tunnel->port, "an opaque connection", tunnel);
  }
  if (const auto* refusal = std::get_if<RecordedRefusal>(&event)) {
    judge_connection(refusal->name.empty() ? refusal->address : refusal->name, refusal->port, refusal->what, nullptr);
  }
}

Replay::What Replay::what_of(const RecordedRequest& request) {
  const std::string path = request.target.substr(0, std::min(request.target.find('?'), longest_what));
  const std::string head =
      request.method.substr(0, 20) + " " + request.scheme.substr(0, 20) + "://" + request.host.substr(0, 260);
  std::string kind;
  for (const std::string& segment : split(path, '/')) kind += "/" + (looks_made_up(segment) ? "*" : segment);
  return {head + path, head + ":" + std::to_string(request.port) + kind};
}

bool Replay::same_as_then(const std::string& old_id, const Grant* now) const {
  const auto old = old_.grants.find(old_id);
  return now != nullptr && old != old_.grants.end() && !old->second.fingerprint.empty() &&
         fingerprints_.at(now->id) == old->second.fingerprint;
}

void Replay::judge(const RecordedRequest& request) {
  if (refused_by_any_policy(request)) {
    ++counts_[static_cast<std::size_t>(Change::same_denied)];
    return;
  }
  const auto found = old_.grants.find(request.grant);
  TrialAnswer answer = trial_->judge(request, found == old_.grants.end() ? nullptr : &found->second);
  const bool same_grant = same_as_then(request.grant, answer.grant);

  // Its name led inside. Only a grant that says where it may lead changes that.
  if (!request.allowed && request.rule == "address" &&
      (answer.grant == nullptr || answer.grant->address.empty() || same_grant)) {
    ++counts_[static_cast<std::size_t>(Change::same_denied)];
    return;
  }
  if (!request.allowed && answer.verdict != Verdict::deny) {
    // Denied for what the head does not show. The same grant would do so again; of another nobody knows.
    static constexpr std::array beyond_head{"budget"sv, "json"sv, "body"sv,    "response"sv, "expired"sv,
                                            "labels"sv, "git"sv,  "revoked"sv, "closed"sv};
    static constexpr std::array by_head{"no-grant"sv, "path"sv,         "method"sv,     "query"sv,
                                        "header"sv,   "content-type"sv, "credential"sv, "foreign-credential"sv,
                                        "http2"sv,    "address"sv};
    const auto is_in = [&](const auto& list) { return std::ranges::find(list, request.rule) != list.end(); };
    if (is_in(beyond_head) && same_grant) {
      ++counts_[static_cast<std::size_t>(Change::same_denied)];
      return;
    }
    const bool known = is_in(by_head) || (request.rule == "body" && request.detailed);
    if (answer.verdict == Verdict::allow && !known) {
      answer.verdict = Verdict::unknown;
      answer.reason = "not-judged";
      answer.text = "it was denied for what is not in the record: " + escape_for_terminal(request.rule, 60);
    }
  }
  if (answer.verdict == Verdict::allow && !same_grant) {
    const std::string limit = passed(request.time, request.host, request.up, request.down, *answer.grant);
    if (!limit.empty()) {
      answer.verdict = Verdict::unknown;
      answer.reason = limit;
      answer.text = "by the times and sizes in the record, the grant would be used up: " + limit;
    }
  }

  const Change change = answer.verdict == Verdict::unknown ? Change::unknown
                        : answer.verdict == Verdict::allow ? (request.allowed ? Change::same_allowed : Change::opened)
                                                           : (request.allowed ? Change::blocked : Change::same_denied);
  add(change, what_of(request), answer);
}

// Nothing of what passes is judged, so the name and the port are all there is to it.
void Replay::judge_connection(const std::string& host, std::uint16_t port, const std::string& what,
                              const RecordedTunnel* was) {
  const grant::Decision decision = grant::judge_tunnel(policy_->grants, host, port);
  TrialAnswer answer{Verdict::deny, decision.reason, decision.text, decision.grant, nullptr};
  if (decision.verdict == grant::Verdict::allow) {
    answer.verdict = Verdict::allow;
    if (was != nullptr && !same_as_then(was->grant, decision.grant)) {
      answer.reason = passed(was->time, host, was->up, was->down, *decision.grant);
      answer.text = "by the times and sizes in the record, the grant would be used up: " + answer.reason;
      if (!answer.reason.empty()) answer.verdict = Verdict::unknown;
    }
  }
  const Change change = answer.verdict == Verdict::unknown ? Change::unknown
                        : answer.verdict == Verdict::allow ? (was != nullptr ? Change::same_allowed : Change::opened)
                                                           : (was != nullptr ? Change::blocked : Change::same_denied);
  const std::string text = what.substr(0, longest_what) + " to " + host.substr(0, 260) + ":" + std::to_string(port);
  add(change, {text, text}, answer);
}

std::string Replay::passed(const std::string& time, const std::string& host, std::uint64_t up, std::uint64_t down,
                           const Grant& grant) {
  const auto authority = grant::parse_authority(host);
  if (authority && grant::by_wildcard_only(grant.hosts, authority->host)) {
    auto& names = labels_[grant.id];
    if (!names.contains(authority->host) && names.size() >= grant.labels) return "labels";
    names.insert(authority->host);
  }
  const auto micros = time_of(time);
  if (!micros) return {};
  if (grant.expires && began_ && *micros - *began_ > std::chrono::microseconds(*grant.expires).count())
    return "expires";
  const auto now = grant::Meter::Clock::time_point(
      std::chrono::duration_cast<grant::Meter::Clock::duration>(std::chrono::microseconds(*micros)));
  grant::Meter& meter = meters_.try_emplace(grant.id, grant.budget).first->second;
  for (const auto& limit : {meter.request(now), meter.up(up, now), meter.down(down, now)}) {
    if (limit) return std::string(*limit);
  }
  return {};
}

void Replay::add(Change change, const What& what, const TrialAnswer& answer) {
  ++counts_[static_cast<std::size_t>(change)];
  if (change == Change::same_allowed || change == Change::same_denied) return;
  std::string key = std::string(name_of(change)) + " " + answer.reason + " " + what.kind;
  auto it = kinds_.find(key);
  if (it == kinds_.end()) {
    if (kinds_.size() >= most_kinds) {
      ++unlisted_;
      return;
    }
    it = kinds_
             .emplace(std::move(key), ReplayKind{change, what.text, answer.reason, answer.text,
                                                 answer.grant != nullptr ? answer.grant->id : "", 0, false, session_})
             .first;
  }
  ++it->second.count;
  it->second.alike = it->second.alike || it->second.what != what.text;
}

std::uint64_t Replay::requests() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::vector<ReplayKind> Replay::kinds(std::size_t most) const {
  std::vector<ReplayKind> out;
  for (const Change change : {Change::blocked, Change::opened, Change::unknown}) {
    std::vector<ReplayKind> some;
    for (const auto& [key, kind] : kinds_) {
      if (kind.change == change) some.push_back(kind);
    }
    std::ranges::sort(some, [](const ReplayKind& a, const ReplayKind& b) {
      return a.count != b.count ? a.count > b.count : a.what < b.what;
    });
    if (some.size() > most) some.resize(most);
    out.insert(out.end(), some.begin(), some.end());
  }
  return out;
}

}  // namespace bulkhead::advice
