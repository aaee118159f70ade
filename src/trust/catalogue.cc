#include "trust/catalogue.h"

#include <algorithm>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "policy/reader.h"
#include "policy/toml.h"
#include "trust/spelling.h"

namespace bulkhead::trust {
namespace {

Result<std::string> required(const TableReader& table, std::string_view key) {
  BH_TRY(const auto value, table.string(key));
  if (!value || value->empty()) return table.fail_table("`" + std::string(key) + "` is missing");
  return *value;
}

Result<Class> read_class(const TableReader& table) {
  BH_TRY(const std::string name, required(table, "class"));
  for (const Class one : {Class::runs, Class::instructs, Class::build}) {
    if (name == name_of(one)) return one;
  }
  return table.fail_key("class", "runs, instructs or build");
}

Result<Format> read_format(const TableReader& table) {
  BH_TRY(const auto name, table.string("format"));
  if (!name || *name == "text") return Format::text;
  if (*name == "json") return Format::json;
  if (*name == "toml") return Format::toml;
  if (*name == "git-config") return Format::git_config;
  return table.fail_key("format", "text, json, toml or git-config");
}

Result<std::vector<Show>> read_shows(const TableReader& table, const std::string& file) {
  std::vector<Show> out;
  const TomlEntry* entry = table.find("shows");
  if (entry == nullptr) return out;
  if (entry->value.type != TomlValue::Type::array) return table.fail_key("shows", "must be an array of tables");
  for (const TomlValue& item : entry->value.items) {
    if (item.type != TomlValue::Type::table) return table.fail_key("shows", "must be an array of tables");
    const TableReader one(item, "shows", file);
    BH_CHECK(one.only({"at", "as", "needs"}));
    Show show;
    BH_TRY(show.at, required(one, "at"));
    BH_TRY(show.as, required(one, "as"));
    BH_TRY(const auto needs, one.string("needs"));
    if (needs) {
      const auto equals = needs->find('=');
      if (equals == std::string::npos) return one.fail_key("needs", "is written PLACE=VALUE");
      show.needs = needs->substr(0, equals);
      show.needs_value = needs->substr(equals + 1);
    }
    out.push_back(std::move(show));
  }
  return out;
}

Result<std::vector<std::string>> list(const TableReader& table, std::string_view key) {
  BH_TRY(auto values, table.strings(key));
  return values ? std::move(*values) : std::vector<std::string>();
}

Result<std::vector<std::string>> toml_files(const std::string& folder, bool must_exist) {
  auto fd = sys::open(folder, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().code == ENOENT && !must_exist) return std::vector<std::string>();
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(std::vector<std::string> names, sys::list_directory(fd->get()));
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(".toml") || name.starts_with('.'); });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

const char* name_of(Class value) {
  switch (value) {
    case Class::runs:
      return "runs";
    case Class::instructs:
      return "instructs";
    case Class::build:
      return "build";
  }
  return "?";
}

Result<void> Catalogue::add(std::string_view text, const std::string& file, bool shipped) {
  BH_TRY(const TomlValue root, parse_toml(text, file));
  const TableReader top(root, "", file);
  BH_CHECK(top.only({"version", "control", "dependencies"}));
  BH_TRY(const auto version, top.count("version", 1, 1));
  if (!version) return top.fail_table("`version = 1` is missing");
  BH_TRY(const auto dependencies, list(top, "dependencies"));
  // What is in such a folder is not asked about, so to name one is not to add.
  if (!dependencies.empty() && !shipped) return top.fail_key("dependencies", "only the files that are shipped have it");
  for (const std::string& name : dependencies) dependencies_.push_back(folded(name));
  BH_TRY(const auto tables, top.tables_at("control"));
  for (const TomlValue* value : tables) {
    const TableReader table(*value, "[[control]]", file);
    BH_CHECK(table.only({"id", "match", "except", "class", "who", "trigger", "format", "shows", "contains", "harmless",
                         "executable", "secret", "verb"}));
    Rule rule;
    rule.file = file;
    rule.line = table.line();
    BH_TRY(rule.id, required(table, "id"));
    if (std::any_of(rules_.begin(), rules_.end(), [&](const Rule& other) { return other.id == rule.id; })) {
      return table.fail_key("id", "there is a control file \"" + escape_for_terminal(rule.id) + "\" already");
    }
    BH_TRY(rule.kind, read_class(table));
    BH_TRY(rule.who, required(table, "who"));
    BH_TRY(rule.trigger, required(table, "trigger"));
    BH_TRY(rule.format, read_format(table));
    BH_TRY(rule.shows, read_shows(table, file));
    BH_TRY(rule.contains, list(table, "contains"));
    for (std::string& word : rule.contains) word = lower_ascii(word);
    BH_TRY(rule.harmless, list(table, "harmless"));
    BH_TRY(const auto executable, table.boolean("executable"));
    rule.executable = executable.value_or(false);
    BH_TRY(const auto secret, table.boolean("secret"));
    rule.secret = secret.value_or(false);
    BH_TRY(const auto verb, table.string("verb"));
    rule.verb = verb.value_or(rule.kind == Class::instructs ? "says" : "runs");
    if (!rule.harmless.empty() && rule.format != Format::json && rule.format != Format::toml) {
      return table.fail_key("harmless", "names keys of json or toml");
    }
    BH_TRY(rule.patterns, list(table, "match"));
    if (rule.patterns.empty()) return table.fail_table("`match` is missing");
    for (const std::string& text_of : rule.patterns) {
      auto pattern = Pattern::parse(text_of);
      if (!pattern) return table.fail_key("match", pattern.error().message);
      matcher_.add(*pattern, rules_.size());
    }
    Matcher except;
    BH_TRY(rule.except, list(table, "except"));
    for (const std::string& text_of : rule.except) {
      auto pattern = Pattern::parse(text_of);
      if (!pattern) return table.fail_key("except", pattern.error().message);
      except.add(*pattern, 0);
    }
    except_.push_back(std::move(except));
    rules_.push_back(std::move(rule));
  }
  return {};
}

Result<Catalogue> Catalogue::load(const std::string& shipped, const std::string& own) {
  Catalogue out;
  for (const bool is_own : {false, true}) {
    const std::string& folder = is_own ? own : shipped;
    if (folder.empty()) continue;
    BH_TRY(const std::vector<std::string> names, toml_files(folder, !is_own));
    for (const std::string& name : names) {
      const std::string path = folder + "/" + name;
      BH_TRY(const std::string text, sys::read_file(path, max_toml_bytes));
      BH_CHECK(out.add(text, escape_for_terminal(path), !is_own));
    }
  }
  if (out.rules_.empty()) return fail("no control file is listed in " + escape_for_terminal(shipped));
  return out;
}

bool Catalogue::excepted(std::size_t id, std::string_view path) const {
  return !except_[id].match_path(path).empty();
}

bool Catalogue::is_dependency_folder(std::string_view folded_name) const {
  return std::find(dependencies_.begin(), dependencies_.end(), folded_name) != dependencies_.end();
}

}  // namespace bulkhead::trust
