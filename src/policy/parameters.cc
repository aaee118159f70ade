#include "policy/parameters.h"

#include <algorithm>

#include "base/text.h"
#include "policy/git_ref.h"
#include "policy/names.h"
#include "policy/reader.h"

namespace bulkhead {
namespace {

template <class Predicate>
bool only(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

tl::unexpected<Error> bad(std::string_view value, std::string_view what) {
  return fail(in_quotes(value) + ": " + std::string(what));
}

// One path segment that means itself wherever it stands.
bool is_word(std::string_view text, std::string_view more = "") {
  return !text.empty() && text.size() <= 100 && text != "." && text != ".." && only(text, [&](char c) {
    return is_lower(c) || is_upper(c) || is_digit(c) || c == '-' || c == '_' || c == '.' ||
           more.find(c) != std::string_view::npos;
  });
}

Result<void> check_name_value(std::string_view value) {
  if (is_word(value)) return {};
  return bad(value, "a name is letters, digits, `.`, `_` and `-`, at most 100 characters, and not a dot or two");
}

Result<void> check_owner_name(std::string_view value) {
  const std::size_t slash = value.find('/');
  if (slash == std::string_view::npos || !is_word(value.substr(0, slash)) || !is_word(value.substr(slash + 1))) {
    return bad(value, "an owner and a name with one `/` between, of letters, digits, `.`, `_` and `-`");
  }
  if (lower_ascii(value).ends_with(".git")) return bad(value, "written without `.git`, which is granted with it");
  return {};
}

Result<void> check_channel(std::string_view value) {
  const bool id = value.size() >= 9 && value.size() <= 21 &&
                  std::string_view("CGD").find(value[0]) != std::string_view::npos &&
                  only(value, [](char c) { return is_upper(c) || is_digit(c); });
  if (id) return {};
  return bad(value, "a channel's id, like \"C0123456789\" (a name can be given to another channel)");
}

Result<void> check_label(std::string_view value) {
  const bool label = !value.empty() && value.size() <= 63 && value.front() != '-' && value.back() != '-' &&
                     only(value, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
  if (label) return {};
  return bad(value, "one label of a host name: lower-case letters, digits and `-`");
}

Result<void> check_bucket(std::string_view value) {
  if (value.find('.') != std::string_view::npos)
    return bad(value, "a bucket with a dot in its name is not served over TLS");
  if (value.size() < 3 || !check_label(value))
    return bad(value, "a bucket's name: lower-case letters, digits and `-`, 3 to 63");
  return {};
}

Result<void> check_prefix(std::string_view value) {
  const std::vector<std::string> parts = split(value, '/');
  const bool words =
      std::all_of(parts.begin(), parts.end(), [](const std::string& part) { return is_word(part, "="); });
  if (words && value.size() <= 512) return {};
  return bad(value, "names with `/` between, like \"reports/2026\", none at the beginning or the end");
}

Result<void> check_host_name(std::string_view value) {
  BH_CHECK(check_host(value));
  const bool name = value.find('*') == std::string_view::npos && value.find('.') != std::string_view::npos &&
                    std::any_of(value.begin(), value.end(), is_lower);
  if (name) return {};
  return bad(value, "a whole host name, without a wildcard");
}

}  // namespace

const std::vector<ParameterKind>& parameter_kinds() {
  using Kind = ParameterKind;
  static const std::vector<ParameterKind> kinds{
      {"owner/name", "acme/app", Kind::path | Kind::query, check_owner_name},
      {"name", "app", Kind::path | Kind::json, check_name_value},
      {"ref-pattern", "refs/heads/agent/*", Kind::refs, check_ref_pattern},
      {"channel", "C0123456789", Kind::json, check_channel},
      {"bucket", "acme-data", Kind::host | Kind::path, check_bucket},
      {"prefix", "reports/2026", Kind::path | Kind::query, check_prefix},
      {"host-label", "eu-central-1", Kind::host, check_label},
      {"host-name", "example.com", Kind::host | Kind::path, check_host_name},
      {"package", "left-pad", Kind::packages, check_package},
  };
  return kinds;
}

namespace {

// A string or an array of them.
Result<std::vector<std::string>> load_values(const TableReader& reader, const char* key) {
  const TomlEntry* entry = reader.find(key);
  if (entry == nullptr) return std::vector<std::string>{};
  if (entry->value.type == TomlValue::Type::string) {
    BH_TRY(const auto one, reader.string(key));
    return std::vector<std::string>{*one};
  }
  BH_TRY(auto several, reader.strings(key));
  if (several->empty()) return reader.fail_key(key, "an empty list opens nothing; leave it out, or name a value");
  return std::move(*several);
}

Result<Parameter> load_parameter(const TomlValue& table, const std::string& name, const std::string& file) {
  const TableReader reader(table, "[parameters." + name + "]", file);
  BH_CHECK(reader.only({"kind", "help", "default", "optional"}));
  BH_TRY(const auto kind, reader.string("kind"));
  BH_TRY(const auto help, reader.string("help"));
  if (!kind || !help) return reader.fail_table("`kind` and `help` have to be there");
  Parameter parameter;
  std::vector<std::string> names;
  for (const ParameterKind& one : parameter_kinds()) {
    names.emplace_back(one.name);
    if (one.name == *kind) parameter.kind = &one;
  }
  if (parameter.kind == nullptr) {
    const std::string near = suggestion(*kind, names);
    return reader.fail_key("kind",
                           in_quotes(*kind) + " is no kind" +
                               (near.empty() ? "; one of " + join(names, ", ") : "; did you mean \"" + near + "\"?"));
  }
  if (help->empty() || help->size() > 120 || escape_for_terminal(*help, 200) != *help) {
    return reader.fail_key("help", "one line of at most 120 characters");
  }
  parameter.help = *help;
  BH_TRY(parameter.default_values, load_values(reader, "default"));
  for (const std::string& value : parameter.default_values)
    BH_CHECK(reader.checked("default", parameter.kind->check(value)));
  BH_TRY(const auto optional, reader.boolean("optional"));
  parameter.optional = optional.value_or(false);
  if (parameter.optional && (parameter.kind->places != ParameterKind::packages || !parameter.default_values.empty())) {
    return reader.fail_key("optional", "only what narrows can be left out: kind \"package\", and without `default`");
  }
  return parameter;
}

std::string example_of(const std::string& name, const Parameter& parameter) {
  return name + " = [\"" + std::string(parameter.kind->example) + "\"]";
}

}  // namespace

Result<std::map<std::string, Parameter>> load_parameters(const TomlValue& root, const std::string& file) {
  std::map<std::string, Parameter> parameters;
  BH_TRY(const TomlValue* table, TableReader(root, "", file).table_at("parameters"));
  if (table == nullptr) return parameters;
  const TableReader reader(*table, "[parameters]", file);
  for (const TomlEntry& entry : table->entries) {
    BH_CHECK(reader.checked(entry.key, check_name(entry.key)));
    BH_TRY(const TomlValue* one, reader.table_at(entry.key));
    BH_TRY(parameters[entry.key], load_parameter(*one, entry.key, file));
  }
  return parameters;
}

Result<ParameterValues> parameter_values(const std::map<std::string, Parameter>& parameters, const Grant& named) {
  const auto where = [&](int line) {
    return escape_for_terminal(named.origin.file) + ":" + std::to_string(line) + ": ";
  };
  const std::string preset = "preset " + in_quotes(named.preset);
  ParameterValues values;
  for (const auto& [name, argument] : named.with) {
    const auto found = parameters.find(name);
    if (found == parameters.end()) {
      std::vector<std::string> names;
      for (const auto& [known, unused] : parameters) names.push_back(known);
      const std::string near = suggestion(name, names);
      return fail(where(argument.line) + preset + " has no parameter `" + escape_for_terminal(name, 60) + "`" +
                  (!near.empty()   ? "; did you mean `" + near + "`?"
                   : names.empty() ? "; it takes none: leave `with` out"
                                   : "; it has: " + join(names, ", ")));
    }
    for (const std::string& value : argument.values) {
      if (auto ok = found->second.kind->check(value); !ok) {
        return fail(where(argument.line) + "`" + name + "` of " + preset + ": " + ok.error().message);
      }
    }
    values[name] = argument.values;
  }
  std::vector<std::string> missing, examples;
  for (const auto& [name, parameter] : parameters) {
    if (values.contains(name) || parameter.optional) continue;
    values[name] = parameter.default_values;
    if (!parameter.default_values.empty()) continue;
    missing.push_back("`" + name + "` (" + parameter.help + ")");
    examples.push_back(example_of(name, parameter));
  }
  if (missing.empty()) return values;
  return fail(where(named.origin.line) + preset + " needs " + join(missing, " and ") + ": write with = { " +
              join(examples, ", ") + " }");
}

ParameterValues example_values(const std::map<std::string, Parameter>& parameters) {
  ParameterValues values;
  for (const auto& [name, parameter] : parameters) {
    if (parameter.optional) continue;
    values[name] = parameter.default_values;
    if (values[name].empty()) values[name].emplace_back(parameter.kind->example);
  }
  return values;
}

}  // namespace bulkhead
