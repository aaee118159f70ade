#include "session/live_grants.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "policy/within.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t most_told = 150 * 1024;  // bytes; one message (base/ipc.h)

}  // namespace

LiveGrants::LiveGrants(std::vector<Grant> grants, const std::vector<std::string>& credentials)
    : credentials_(credentials.begin(), credentials.end()) {
  open_way_ = credentials_.erase("") > 0;  // the egress without one
  for (Grant& grant : grants) known_.push_back({std::move(grant), std::nullopt});
}

std::string LiveGrants::listed() const {
  if (known_.empty()) return "it has none";
  std::string out;
  for (const Known& known : known_) {
    out += (out.empty() ? "it has " : ", ") + known.grant.id + " (" +
           escape_for_terminal(join(known.grant.hosts, ", "), 260) + ")";
  }
  return out;
}

Result<LiveGrants::Revoked> LiveGrants::revoke(const std::vector<std::string>& ids,
                                               const std::vector<std::string>& credentials) {
  for (const std::string& id : ids) {
    if (std::ranges::any_of(known_, [&](const Known& known) { return known.grant.id == id; })) continue;
    return fail("the session has no grant \"" + escape_for_terminal(id, 60) + "\"; " + listed());
  }
  for (const std::string& name : credentials) {
    if (credentials_.contains(name)) continue;
    const std::vector<std::string> names(credentials_.begin(), credentials_.end());
    return fail("the session holds no credential \"" + escape_for_terminal(name, 60) + "\"; it holds " +
                (names.empty() ? "none" : join(names, ", ")));
  }
  const bool everything = ids.empty() && credentials.empty();
  over_ = over_ || everything;
  const auto named = [](const std::vector<std::string>& list, const std::string& word) {
    return std::ranges::find(list, word) != list.end();
  };
  Revoked out;
  for (Known& known : known_) {
    if (known.dropped) continue;
    if (!everything && !named(ids, known.grant.id) && !named(credentials, known.grant.credential)) continue;
    (known.gone == Gone::revoked ? out.before : out.now).push_back(known.grant);
    known.gone = Gone::revoked;
  }
  for (const std::string& name : credentials_) {
    if (!everything && !named(credentials, name)) continue;
    out.credentials.push_back(name);
    forgotten_.insert(name);
  }
  return out;
}

std::optional<Gone> LiveGrants::gone(const Known& known) const {
  return known.gone || !closed_ ? known.gone : Gone::closed;
}

std::vector<Grant> LiveGrants::held() const {
  std::vector<Grant> out;
  for (const Known& known : known_) {
    if (!gone(known)) out.push_back(known.grant);
  }
  return out;
}

Result<void> LiveGrants::possible(const Grant& grant, const std::set<std::uint16_t>& ports) const {
  const std::string name = "the grant for " + escape_for_terminal(join(grant.hosts, ", "), 260);
  const std::string instead = "; start a new session for it";
  if (!ports.contains(grant.port)) {
    return fail(name + ": this session does not listen on port " + std::to_string(grant.port) + instead);
  }
  if (!grant.credential.empty() && !credentials_.contains(grant.credential)) {
    return fail(name + ": this session does not hold credential \"" + grant.credential + "\"" + instead);
  }
  if (grant.credential.empty() && !open_way_) {
    return fail(name + ": this session began without any grant that has no credential" + instead);
  }
  return {};
}

Result<LiveGrants::Reloaded> LiveGrants::reload(const std::vector<Grant>& grants, const std::set<std::uint16_t>& ports,
                                                bool wanted) {
  if (over_) return fail("everything was revoked in this session, and stays so; start a new one");
  for (const Grant& grant : grants) BH_CHECK(possible(grant, ports));
  Reloaded out;
  std::vector<bool> taken(known_.size(), false);
  std::vector<Known> next = known_;
  for (const Grant& grant : grants) {
    const auto at = counterpart(grant, taken);
    if (!at) {
      Grant fresh = grant;
      fresh.id = std::to_string(next.size() + 1);
      const bool forgotten = forgotten_.contains(fresh.credential);
      (forgotten ? out.revoked : out.widened).push_back(fresh);
      if (wanted || forgotten)
        next.push_back({std::move(fresh), forgotten ? std::optional(Gone::revoked) : std::nullopt});
      continue;
    }
    taken[*at] = true;
    Known& known = next[*at];
    Grant whole = grant;
    whole.id = known.grant.id;
    if (known.gone == Gone::revoked) {
      out.revoked.push_back(std::move(whole));
      continue;
    }
    if (known.gone) {  // an earlier load took it away
      out.widened.push_back(whole);
      if (wanted) known = {std::move(whole), std::nullopt};
      continue;
    }
    Common common = common_part(whole, known.grant);
    if (!common.whole) out.widened.push_back(whole);
    const bool smaller = !common_part(known.grant, whole).whole;
    if (smaller) out.narrowed.push_back(common.whole || wanted ? whole : common.grant);
    if (common.whole || wanted) {
      known.grant = std::move(whole);
    } else if (common.anything()) {
      known.grant = std::move(common.grant);
    } else {
      known.gone = Gone::changed;  // and stays what it was, so that it is known again
    }
  }
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (taken[i] || next[i].gone || next[i].added) continue;
    next[i].gone = Gone::changed;
    out.removed.push_back(next[i].grant);
  }
  known_ = std::move(next);
  closed_ = false;
  out.waiting = !wanted && !out.widened.empty();
  return out;
}

Result<void> LiveGrants::can_add(const std::vector<Grant>& grants, const std::set<std::uint16_t>& ports) const {
  if (over_) return fail("everything was revoked in this session, and stays so");
  if (closed_) return fail("the policy could not be loaded again");
  GrantsUpdate told{0, held(), {}, false};
  told.grants.insert(told.grants.end(), grants.begin(), grants.end());
  if (to_json(told).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).size() > most_told) {
    return fail("the session has as many grants as front and egress can be told");
  }
  for (const Grant& grant : grants) {
    BH_CHECK(possible(grant, ports));
    if (forgotten_.contains(grant.credential)) return fail("credential \"" + grant.credential + "\" was revoked");
    for (const Known& known : known_) {
      const auto taken_back = [&](const std::string& host) { return within(host, known.grant.hosts); };
      if (known.gone == Gone::revoked && !known.dropped && known.grant.port == grant.port &&
          std::ranges::any_of(grant.hosts, taken_back)) {
        return fail("a grant for this place was revoked");
      }
    }
  }
  return {};
}

Result<std::vector<Grant>> LiveGrants::add(std::vector<Grant> grants, const std::set<std::uint16_t>& ports, bool kept) {
  BH_CHECK(can_add(grants, ports));
  for (Grant& grant : grants) {
    grant.id = std::to_string(known_.size() + 1);
    known_.push_back({grant, std::nullopt, !kept});
  }
  return grants;
}

void LiveGrants::drop(const std::vector<std::string>& ids) {
  for (Known& known : known_) {
    if (!known.added || std::ranges::find(ids, known.grant.id) == ids.end()) continue;
    known.dropped = true;
    if (!known.gone) known.gone = Gone::changed;
  }
}

// The same grant as it was before: one for the same port, protocol, credential and address that shares most with it.
std::optional<std::size_t> LiveGrants::counterpart(const Grant& grant, const std::vector<bool>& taken) const {
  std::optional<std::size_t> best;
  int most = 0;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const Grant& before = known_[i].grant;
    if (taken[i] || known_[i].added || before.port != grant.port || before.protocol != grant.protocol ||
        before.credential != grant.credential || before.address != grant.address) {
      continue;
    }
    const bool shares =
        std::ranges::any_of(grant.hosts, [&](const auto& host) { return within(host, before.hosts); }) ||
        std::ranges::any_of(before.hosts, [&](const auto& host) { return within(host, grant.hosts); });
    if (!shares) continue;
    const int score = 1 + (before.hosts == grant.hosts ? 2 : 0) + (before.preset == grant.preset ? 1 : 0) +
                      (common_part(grant, before).whole ? 2 : 0);
    if (score > most) best = i;
    most = std::max(most, score);
  }
  return best;
}

GrantsUpdate LiveGrants::update(std::uint64_t number) const {
  GrantsUpdate update;
  update.number = number;
  update.grants = held();
  for (const Known& known : known_) {
    const auto why = gone(known);
    if (why && !known.dropped) update.withdrawn.push_back({known.grant, *why});
  }
  return update;
}

GrantsUpdate LiveGrants::update(std::uint64_t number, const std::string& credential) const {
  GrantsUpdate whole = update(number);
  std::erase_if(whole.grants, [&](const Grant& grant) { return grant.credential != credential; });
  std::erase_if(whole.withdrawn, [&](const WithdrawnGrant& one) { return one.grant.credential != credential; });
  // No reload brings a grant of it back: neither secret is needed again.
  whole.forget = over_ || forgotten_.contains(credential);
  return whole;
}

}  // namespace bulkhead::session
