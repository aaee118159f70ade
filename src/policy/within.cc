#include "policy/within.h"

#include <algorithm>
#include <iterator>

namespace bulkhead {
namespace {

bool has(const std::vector<std::string>& list, const std::string& word) {
  return std::ranges::find(list, word) != list.end();
}

// {"*"} is any.
bool all_in(const std::vector<std::string>& list, const std::vector<std::string>& before) {
  return has(before, "*") || std::ranges::all_of(list, [&](const std::string& word) { return has(before, word); });
}

// Unset is no limit.
template <class T>
bool at_most(const std::optional<T>& limit, const std::optional<T>& before) {
  return !before || (limit && *limit <= *before);
}

template <class T>
std::optional<T> smaller(const std::optional<T>& a, const std::optional<T>& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// {"*"} is any.
std::vector<std::string> in_both(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (has(a, "*")) return b;
  if (has(b, "*")) return a;
  std::vector<std::string> out;
  std::ranges::copy_if(a, std::back_inserter(out), [&](const std::string& word) { return has(b, word); });
  return out;
}

// The requests both allow, where that can be written as a rule.
std::optional<Rule> meet(const Rule& a, const Rule& b) {
  Rule out = b;
  out.methods = in_both(b.methods, a.methods);
  out.query = in_both(b.query, a.query);
  out.headers = in_both(b.headers, a.headers);
  if (out.content_type.empty()) out.content_type = a.content_type;
  out.max_body = smaller(a.max_body, b.max_body);
  if (!out.json) out.json = a.json;
  if (out.packages.empty()) {
    out.packages = a.packages;
  } else if (!a.packages.empty()) {
    out.packages = in_both(b.packages, a.packages);
    if (out.packages.empty()) return std::nullopt;  // without one it would be any
  }
  if (out.methods.empty() || !within(out, a) || !within(out, b)) return std::nullopt;
  return out;
}

ResponseRules meet(const ResponseRules& a, const ResponseRules& b) {
  ResponseRules out;
  out.max_body = smaller(a.max_body, b.max_body);
  out.content_type = a.content_type && b.content_type ? std::optional(in_both(*a.content_type, *b.content_type))
                     : a.content_type                 ? a.content_type
                                                      : b.content_type;
  out.streaming = a.streaming && b.streaming;
  out.redact = b.redact;
  const auto hide = [&](const std::vector<std::string>& places) {
    for (const std::string& place : places) {
      if (!has(out.redact, place) && !has(out.issue, place)) out.redact.push_back(place);
    }
  };
  hide(a.redact);
  // What only one of them hands out reaches the workload neither as it is nor as a token.
  for (const std::string& place : b.issue) {
    if (has(a.issue, place) && !has(out.redact, place)) out.issue.push_back(place);
  }
  hide(a.issue);
  hide(b.issue);
  std::ranges::copy_if(b.follow, std::back_inserter(out.follow), [&](const auto& host) { return has(a.follow, host); });
  return out;
}

Budget smaller_budget(const Budget& a, const Budget& b) {
  return {.requests = smaller(a.requests, b.requests),
          .requests_per_minute = smaller(a.requests_per_minute, b.requests_per_minute),
          .bytes_up = smaller(a.bytes_up, b.bytes_up),
          .bytes_down = smaller(a.bytes_down, b.bytes_down),
          .bytes_up_per_minute = smaller(a.bytes_up_per_minute, b.bytes_up_per_minute),
          .bytes_down_per_minute = smaller(a.bytes_down_per_minute, b.bytes_down_per_minute)};
}

}  // namespace

bool within(const Rule& rule, const Rule& before) {
  if (!all_in(rule.methods, before.methods) || rule.path != before.path) return false;
  if (!query_within(rule.query, before.query) || !headers_within(rule.headers, before.headers)) return false;
  if (!before.content_type.empty() && rule.content_type != before.content_type) return false;
  if (!at_most(rule.max_body, before.max_body)) return false;
  if (!before.packages.empty() && (rule.packages.empty() || !all_in(rule.packages, before.packages))) return false;
  // What is left has to be the same, but for rules about bodies where there were none.
  Rule rest = rule;
  rest.methods = before.methods;
  rest.query = before.query;
  rest.headers = before.headers;
  rest.content_type = before.content_type;
  rest.max_body = before.max_body;
  rest.packages = before.packages;
  if (!before.json) rest.json.reset();
  rest.origin = before.origin;
  return rest == before;
}

bool query_within(const std::vector<std::string>& query, const std::vector<std::string>& before) {
  const auto key_of = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  const auto has_value = [](const std::string& entry) { return entry.find('=') != std::string::npos; };
  const auto any_value = [&](const std::string& key) {
    return has(before, key) &&
           std::ranges::none_of(before, [&](const std::string& one) { return one.starts_with(key + "="); });
  };
  const auto allowed = [&](const std::string& entry) { return has(before, entry) || any_value(key_of(entry)); };
  if (!has(before, "*") && !std::ranges::all_of(query, allowed)) return false;
  return std::ranges::all_of(before, [&](const std::string& entry) {
    return !has_value(entry) || std::ranges::any_of(query, [&](const std::string& one) {
      return has_value(one) && key_of(one) == key_of(entry);
    });
  });
}

bool headers_within(const std::vector<std::string>& headers, const std::vector<std::string>& before) {
  return std::ranges::all_of(headers, [&](const std::string& name) {
    return std::ranges::any_of(before, [&](const std::string& listed) {
      return listed == name || (listed.ends_with('*') && name.starts_with(listed.substr(0, listed.size() - 1)));
    });
  });
}

bool within(const ResponseRules& rules, const ResponseRules& before) {
  if (!at_most(rules.max_body, before.max_body)) return false;
  if (before.content_type && !(rules.content_type && all_in(*rules.content_type, *before.content_type))) return false;
  if (rules.streaming && !before.streaming) return false;
  const auto all_of = [](const std::vector<std::string>& places, const std::vector<std::string>& others) {
    return std::ranges::all_of(places, [&](const std::string& place) { return has(others, place); });
  };
  // A place that is not issued any more would show the value itself; one that is new, hand out one more.
  return all_of(rules.follow, before.follow) && all_of(before.redact, rules.redact) &&
         all_of(before.issue, rules.issue) && all_of(rules.issue, before.issue);
}

bool within(const std::string& host, const std::vector<std::string>& before) {
  if (has(before, host)) return true;
  const std::size_t dot = host.find('.');
  // A wildcard never stands for an xn-- label (gateway/grant/host.h).
  return dot != std::string::npos && !host.starts_with("*") && !host.starts_with("xn--") &&
         has(before, "*" + host.substr(dot));
}

Common common_part(const Grant& grant, const Grant& before) {
  Common out{grant, true};
  Grant& part = out.grant;
  std::erase_if(part.hosts, [&](const std::string& host) { return !within(host, before.hosts); });
  out.whole = part.hosts.size() == grant.hosts.size();
  for (const std::string& host : before.hosts) {
    if (within(host, grant.hosts) && !has(part.hosts, host)) part.hosts.push_back(host);
  }
  part.allow.clear();
  for (const Rule& rule : grant.allow) {
    const auto covers = [&](const Rule& old) { return within(rule, old); };
    if (std::ranges::any_of(before.allow, covers)) {
      part.allow.push_back(rule);
      continue;
    }
    out.whole = false;
    for (const Rule& old : before.allow) {
      if (auto both = meet(rule, old)) part.allow.push_back(std::move(*both));
    }
  }
  part.budget = smaller_budget(grant.budget, before.budget);
  part.labels = std::min(grant.labels, before.labels);
  part.expires = smaller(grant.expires, before.expires);
  if (!within(grant.response, before.response)) part.response = meet(grant.response, before.response);
  out.whole = out.whole && part.budget == grant.budget && part.labels == grant.labels &&
              part.expires == grant.expires && part.response == grant.response;
  return out;
}

}  // namespace bulkhead
