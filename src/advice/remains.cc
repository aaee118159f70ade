#include "advice/remains.h"

#include <algorithm>
#include <array>

#include "advice/advice.h"
#include "advice/hosts.h"

namespace bulkhead::advice {
namespace {

bool any_host(const Grant& grant, bool (*holds)(std::string_view)) {
  return std::ranges::any_of(grant.hosts, [&](const std::string& host) { return holds(host); });
}
bool is_wildcard_host(std::string_view host) {
  return host.starts_with("*.");
}
// With a credential nobody else's, without one anybody's.
bool sends_bodies(const Grant& grant) {
  return grant.protocol != Protocol::tcp && writes(grant);
}
bool any_rule(const Grant& grant, bool (*holds)(const Grant&, const Rule&)) {
  return std::ranges::any_of(grant.allow, [&](const Rule& rule) { return holds(grant, rule); });
}

// Each row: when it applies, and what it says. {host} and {credential} are the grant's.
struct Row {
  std::string_view code;
  bool (*applies)(const Grant&);
  std::string_view text;
};

constexpr std::array rows{
    Row{"opaque", [](const Grant& g) { return g.protocol == Protocol::tcp; },
        "Bulkhead cannot see inside this: every function of the service at {host} is granted, with any credential, and "
        "only the amount is bounded."},
    Row{"messages", [](const Grant& g) { return is_websocket(g.protocol); },
        "A WebSocket's messages are counted, not read: once it is open, whatever {host} does when it is told to in one "
        "is granted, for as long as it stays open, and anybody's key can be in one."},
    Row{"plain", [](const Grant& g) { return is_plain(g.protocol) && !on_this_machine(g); },
        "Everybody on the way to {host} can read and change what is asked and answered."},
    Row{"body-to-account", [](const Grant& g) { return sends_bodies(g) && !g.credential.empty(); },
        "What is written into a request reaches {host}, in the account of credential \"{credential}\": that is what it "
        "is for, and data can leave there to whoever else reads that account."},
    Row{"body-to-host", [](const Grant& g) { return sends_bodies(g) && g.credential.empty(); },
        "What is written into a request reaches {host}, and whoever may read it there."},
    Row{"unjudged-body",
        [](const Grant& g) {
          return any_rule(g, [](const Grant&, const Rule& rule) { return writes(rule) && !rule.json && !rule.git; });
        },
        "Some bodies are not looked into: what they ask the server to do is not judged."},
    Row{"account", [](const Grant& g) { return !g.credential.empty(); },
        "The functions above are carried out with all the rights that credential \"{credential}\" has there."},
    Row{"fetch",
        [](const Grant& g) {
          return any_host(g, [](std::string_view host) { return !fetches(host).empty(); }) ||
                 any_rule(g, [](const Grant&, const Rule& rule) {
                   return std::ranges::any_of(rule.query,
                                              [](const std::string& k) { return k == "*" || names_address(k); });
                 });
        },
        "{host} may ask other servers on the workload's behalf, and tell them what the workload chose."},
    Row{"drop",
        [](const Grant& g) { return any_host(g, [](std::string_view host) { return !takes_drops(host).empty(); }); },
        "{host} is a place for leaving things: whoever has the address finds them."},
    Row{"shared",
        [](const Grant& g) {
          return any_rule(g, [](const Grant& grant, const Rule& rule) {
            return std::ranges::any_of(grant.hosts, [&](const std::string& host) {
              const SharedHost* shared = shared_host(host);
              return shared != nullptr && !names_owner(*shared, host, rule);
            });
          });
        },
        "A host here is shared by many owners, and no owner is named: what is sent or asked for may be a stranger's."},
    Row{"labels", [](const Grant& g) { return any_host(g, is_wildcard_host); },
        "The name that is asked for is data: whoever runs the zone of {host} reads it, even when nothing answers, "
        "{labels} "
        "times a session."},
    Row{"names",
        [](const Grant& g) {
          return any_rule(g, [](const Grant&, const Rule& rule) {
            return !rule.query.empty() || !rule.headers.empty() ||
                   std::ranges::any_of(segments_of(rule.path), is_wildcard);
          });
        },
        "Names are data: what stands in place of a wildcard, behind a query key or in a listed header reaches {host}."},
    Row{"unbounded",
        [](const Grant& g) {
          return !g.budget.requests && !g.budget.requests_per_minute && !g.budget.bytes_up &&
                 !g.budget.bytes_up_per_minute;
        },
        "Nothing bounds how much of this there may be."},
    Row{"answers", [](const Grant&) { return true; },
        "What {host} answers reaches the workload as it is: an agent may take it for instructions."},
    Row{"timing", [](const Grant&) { return true; },
        "When, how often and how much is asked says something too, to {host} and to whoever sees the connection."},
};

std::string filled(std::string_view text, const Grant& grant) {
  std::string out(text);
  for (const auto& [word, value] : {std::pair<std::string_view, std::string>{"{host}", join(grant.hosts, ", ")},
                                    std::pair<std::string_view, std::string>{"{labels}", std::to_string(grant.labels)},
                                    std::pair<std::string_view, std::string>{"{credential}", grant.credential}}) {
    for (std::size_t at = out.find(word); at != std::string::npos; at = out.find(word, at + value.size())) {
      out.replace(at, word.size(), value);
    }
  }
  return out;
}

}  // namespace

std::vector<Remaining> remaining(const Grant& grant) {
  std::vector<Remaining> out;
  for (const Row& row : rows) {
    if (row.applies(grant)) out.push_back({std::string(row.code), filled(row.text, grant)});
  }
  return out;
}

}  // namespace bulkhead::advice
