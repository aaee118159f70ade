#include "advice/covers.h"

#include <algorithm>

#include "advice/advice.h"
#include "gateway/grant/host.h"
#include "policy/within.h"

namespace bulkhead::advice {
namespace {

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}
bool subset(const std::vector<std::string>& words, const std::vector<std::string>& of) {
  return std::ranges::all_of(words, [&](const std::string& word) { return contains(of, word); });
}

bool has_encoded_slash(const std::string& segment) {
  return segment.find("%2F") != std::string::npos;
}

// As gateway/grant/target.h matches: `*` and `{x}` are one segment that is not empty and holds no encoded slash,
// `{package}` takes one kind of those, `**` is any number.
bool path_covers(const std::string& wider, const std::string& path) {
  const std::vector<std::string> all = segments_of(wider), some = segments_of(path);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] == "**") {
      return std::none_of(some.begin() + static_cast<std::ptrdiff_t>(std::min(i, some.size())), some.end(),
                          [](const std::string& s) { return has_encoded_slash(s) || s == "{package}"; });
    }
    if (i == some.size() || some[i] == "**") return false;
    if (all[i] == "{scope}" && some[i] != "{scope}" && !some[i].starts_with('@')) return false;
    if (!is_wildcard(all[i])) {
      if (all[i] != some[i]) return false;
    } else if (some[i].empty() || has_encoded_slash(some[i]) || (some[i] == "{package}" && all[i] != "{package}")) {
      return false;
    }
  }
  return all.size() == some.size();
}

}  // namespace

bool stands_beside(const Grant& wider, const Grant& grant) {
  return wider.port == grant.port && wider.protocol == grant.protocol && wider.credential == grant.credential &&
         wider.address == grant.address && std::ranges::all_of(grant.hosts, [&](const std::string& host) {
           return contains(wider.hosts, host) ||
                  (!host.starts_with("*.") && grant::any_host_matches(wider.hosts, host));
         });
}

bool covers(const Rule& wider, const Rule& rule) {
  return subset(rule.methods, wider.methods) && path_covers(wider.path, rule.path) &&
         query_within(rule.query, wider.query) && headers_within(rule.headers, wider.headers) &&
         (wider.content_type.empty() || wider.content_type == rule.content_type) &&
         (wider.packages.empty() || (!rule.packages.empty() && subset(rule.packages, wider.packages))) &&
         (!wider.max_body || (rule.max_body && *rule.max_body <= *wider.max_body)) &&
         (!wider.json || wider.json == rule.json) && (!wider.git || wider.git == rule.git);
}

bool undoes(const Rule& wider, const Rule& rule, bool first) {
  const bool by_type = wider.content_type.empty() && !rule.content_type.empty();
  const bool by_size = rule.max_body && (!wider.max_body || *wider.max_body > *rule.max_body);
  const bool by_package = !rule.packages.empty() && wider.packages != rule.packages;
  return by_type || by_size || by_package || (first && !(wider.json == rule.json && wider.git == rule.git));
}

}  // namespace bulkhead::advice
