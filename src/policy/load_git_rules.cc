#include <algorithm>

#include "policy/git_ref.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {

Result<void> load_git_rules(const TableReader& rule_reader, Rule& rule) {
  BH_TRY(const TomlValue* table, rule_reader.table_at("git"));
  if (table == nullptr) return {};
  const TableReader reader(*table, "[grant.allow.git]", rule_reader.file());
  BH_CHECK(reader.only({"refs", "delete", "push_options"},
                       {{"force", "whether a push rewinds a branch can't be seen in it; protect it on the server"}}));
  GitRules rules;
  BH_TRY(auto refs, reader.strings("refs"));
  if (!refs || refs->empty()) {
    return reader.fail_table("no `refs` allow no push: name some, like refs = [\"refs/heads/agent/*\"]");
  }
  for (const std::string& ref : *refs) BH_CHECK(reader.checked("refs", check_ref_pattern(ref)));
  rules.refs = std::move(*refs);
  BH_TRY(const auto remove, reader.boolean("delete"));
  rules.remove = remove.value_or(false);
  BH_TRY(auto options, reader.strings("push_options"));
  for (const std::string& option : options.value_or(std::vector<std::string>{})) {
    if (option.find('*') < option.size() - 1) {
      return reader.fail_key("push_options", in_quotes(option) + ": `*` stands for the rest, at its end only");
    }
  }
  if (options) rules.push_options = std::move(*options);
  const bool post = rule.methods == std::vector<std::string>{"POST"};
  if (!post || !rule.path.ends_with("/git-receive-pack") ||
      rule.content_type != "application/x-git-receive-pack-request") {
    return reader.fail_table(
        "this judges pushes: method = \"POST\", a path that ends with /git-receive-pack, and "
        "content_type = \"application/x-git-receive-pack-request\"");
  }
  if (rule.json) return reader.fail_table("a body is judged as JSON or as a push, not both");
  rule.git = std::move(rules);
  return {};
}

}  // namespace bulkhead
