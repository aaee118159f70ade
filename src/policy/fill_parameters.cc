#include <algorithm>
#include <set>

#include "base/text.h"
#include "policy/names.h"
#include "policy/parameters.h"

namespace bulkhead {
namespace {

constexpr std::size_t most = 1000, most_packages = 4000;

using Bound = std::map<std::string, std::string>;  // parameter -> the one value it means here

// Which kinds of values may stand in this string; 0: none.
unsigned places_of(const std::string& table, const std::string& key) {
  if (table == "grant") return key == "host" || key == "hosts" ? ParameterKind::host : 0;
  if (table == "grant.allow")
    return key == "path"       ? ParameterKind::path
           : key == "query"    ? ParameterKind::query
           : key == "packages" ? ParameterKind::packages
                               : 0;
  if (table == "grant.allow.git") return key == "refs" ? ParameterKind::refs : 0;
  return table.starts_with("grant.allow.json.") ? ParameterKind::json : 0;
}

class Filler {
 public:
  Filler(const std::string& file, const std::map<std::string, Parameter>& parameters, const ParameterValues& values)
      : file_(file), parameters_(parameters), values_(values) {}

  // One table for each combination of the values that its own strings name.
  Result<void> fill_table(const TomlValue& table, const std::string& where, const Bound& outer,
                          std::vector<TomlValue>& out) {
    std::vector<std::string> names;
    for (const TomlEntry& entry : table.entries) {
      if (entry.value.type != TomlValue::Type::string) continue;
      BH_TRY(const auto found, placeholders(entry.value, where, entry.key));
      for (const std::string& name : found) {
        if (!outer.contains(name) && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    }
    BH_TRY(const std::vector<Bound> all, combinations(names, outer, table.line));
    for (const Bound& bound : all) {
      if (++tables_ > most) return too_many(table.line);
      BH_TRY(TomlValue filled, fill_members(table, where, bound));
      out.push_back(std::move(filled));
    }
    return {};
  }

  Result<void> all_used() const {
    for (const auto& [name, unused] : parameters_) {
      if (!used_.contains(name)) return fail(file_ + ":1: the parameter `" + name + "` is used nowhere");
    }
    return {};
  }

 private:
  std::string at(int line) const { return file_ + ":" + std::to_string(line) + ": "; }

  tl::unexpected<Error> too_many(int line) const {
    return fail(at(line) + "with these values, more than 1000 rules, or elements of one list");
  }

  tl::unexpected<Error> not_alone(const std::string& name, int line) const {
    return fail(at(line) + "the parameter `" + name + "` is optional: it stands in an array, alone");
  }

  Result<std::vector<Bound>> combinations(const std::vector<std::string>& names, const Bound& outer, int line) const {
    std::vector<Bound> all{outer};
    for (const std::string& name : names) {
      // Only lists are left out.
      if (!values_.contains(name)) return not_alone(name, line);
      const bool packages = parameters_.at(name).kind->places == ParameterKind::packages;
      if (all.size() * values_.at(name).size() > (packages ? most_packages : most)) return too_many(line);
      std::vector<Bound> more;
      for (const Bound& bound : all) {
        for (const std::string& value : values_.at(name)) {
          more.push_back(bound);
          more.back()[name] = value;
        }
      }
      all = std::move(more);
    }
    return all;
  }

  Result<TomlValue> fill_members(const TomlValue& table, const std::string& where, const Bound& bound) {
    TomlValue filled = table;
    BH_CHECK(leave_out(filled, where));
    for (TomlEntry& entry : filled.entries) BH_CHECK(fill_value(entry.value, where, entry.key, bound));
    return filled;
  }

  // Lists that an optional parameter would narrow, where nothing is said for it.
  Result<void> leave_out(TomlValue& table, const std::string& where) {
    std::vector<std::string> keys;
    for (const TomlEntry& entry : table.entries) {
      if (places_of(where, entry.key) != ParameterKind::packages) continue;
      for (const TomlValue& item : entry.value.items) {
        BH_TRY(const auto names, placeholders(item, where, entry.key));
        const auto unsaid =
            std::find_if(names.begin(), names.end(), [&](const std::string& name) { return !values_.contains(name); });
        if (unsaid == names.end()) continue;
        // Without its list a rule allows any: what else stands in it would be any, too.
        if (entry.value.items.size() > 1) return not_alone(*unsaid, item.line);
        keys.push_back(entry.key);
      }
    }
    std::erase_if(table.entries,
                  [&](const TomlEntry& entry) { return std::find(keys.begin(), keys.end(), entry.key) != keys.end(); });
    return {};
  }

  Result<void> fill_value(TomlValue& value, const std::string& where, const std::string& key, const Bound& bound) {
    const std::string inner = where + "." + key;
    switch (value.type) {
      case TomlValue::Type::string: {
        BH_TRY(value.string, substituted(value, where, key, bound));
        return {};
      }
      case TomlValue::Type::table: {
        BH_TRY(value, fill_members(value, inner, bound));
        return {};
      }
      case TomlValue::Type::array: {
        std::vector<TomlValue> items;
        for (const TomlValue& item : value.items) {
          if (item.type == TomlValue::Type::table) {
            BH_CHECK(fill_table(item, inner, bound, items));
          } else {
            BH_CHECK(fill_item(item, where, key, bound, items));
          }
        }
        value.items = std::move(items);
        return {};
      }
      default:
        return {};
    }
  }

  Result<void> fill_item(const TomlValue& item, const std::string& where, const std::string& key, const Bound& outer,
                         std::vector<TomlValue>& out) {
    BH_TRY(auto names, placeholders(item, where, key));
    std::erase_if(names, [&](const std::string& name) { return outer.contains(name); });
    BH_TRY(const std::vector<Bound> all, combinations(names, outer, item.line));
    for (const Bound& bound : all) {
      TomlValue one = item;
      if (one.type == TomlValue::Type::string) {
        BH_TRY(one.string, substituted(item, where, key, bound));
      }
      out.push_back(std::move(one));
    }
    return {};
  }

  // The names in `${…}`, each known and of a kind that may stand here.
  Result<std::vector<std::string>> placeholders(const TomlValue& value, const std::string& where,
                                                const std::string& key) {
    std::vector<std::string> names;
    if (value.type != TomlValue::Type::string) return names;
    const std::string& text = value.string;
    for (std::size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", begin + 2)) {
      const std::size_t end = text.find('}', begin);
      const std::string name = end == std::string::npos ? "" : text.substr(begin + 2, end - begin - 2);
      const auto found = parameters_.find(name);
      if (found == parameters_.end()) {
        std::vector<std::string> known;
        for (const auto& [one, unused] : parameters_) known.push_back(one);
        const std::string near = suggestion(name, known);
        return fail(at(value.line) + in_quotes(text) + ": there is no [parameters." + escape_for_terminal(name, 60) +
                    "]" + (near.empty() ? "" : "; did you mean `" + near + "`?"));
      }
      const unsigned places = places_of(where, key);
      const bool in_value = places != ParameterKind::query || text.find('=') < begin;
      if ((found->second.kind->places & places) == 0 || !in_value) {
        return fail(at(value.line) + "a parameter of kind \"" + std::string(found->second.kind->name) +
                    "\" can't stand in `" + escape_for_terminal(key, 60) + "` = " + in_quotes(text));
      }
      used_.insert(name);
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return names;
  }

  // Once: what a value holds is not looked at again.
  Result<std::string> substituted(const TomlValue& value, const std::string& where, const std::string& key,
                                  const Bound& bound) {
    BH_CHECK(placeholders(value, where, key));
    const std::string& text = value.string;
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
      if (text.compare(i, 2, "${") != 0) {
        out += text[i++];
        continue;
      }
      const std::size_t end = text.find('}', i);
      out += bound.at(text.substr(i + 2, end - i - 2));
      i = end + 1;
    }
    return out;
  }

  const std::string& file_;
  const std::map<std::string, Parameter>& parameters_;
  const ParameterValues& values_;
  std::set<std::string> used_;
  std::size_t tables_ = 0;
};

}  // namespace

Result<TomlValue> fill_parameters(const TomlValue& root, const std::string& file,
                                  const std::map<std::string, Parameter>& parameters, const ParameterValues& values) {
  TomlValue filled = root;
  std::erase_if(filled.entries, [](const TomlEntry& entry) { return entry.key == "parameters"; });
  Filler filler(file, parameters, values);
  for (TomlEntry& entry : filled.entries) {
    if (entry.key != "grant" || entry.value.type != TomlValue::Type::array) continue;
    std::vector<TomlValue> grants;
    for (const TomlValue& grant : entry.value.items) BH_CHECK(filler.fill_table(grant, "grant", {}, grants));
    entry.value.items = std::move(grants);
  }
  BH_CHECK(filler.all_used());
  return filled;
}

}  // namespace bulkhead
