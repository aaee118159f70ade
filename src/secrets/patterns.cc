#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "policy/names.h"
#include "policy/reader.h"
#include "secrets/secrets.h"

namespace bulkhead::secrets {
namespace {

Result<std::vector<std::string>> list(const TableReader& reader, std::string_view key, bool needed) {
  BH_TRY(auto words, reader.strings(key));
  if (needed && (!words || words->empty())) return reader.fail_table("`" + std::string(key) + "` is missing");
  return words.value_or(std::vector<std::string>{});
}

Result<std::string> word(const TableReader& reader, std::string_view key) {
  BH_TRY(auto text, reader.string(key));
  if (!text || text->empty()) return reader.fail_table("`" + std::string(key) + "` is missing");
  return std::move(*text);
}

Result<std::vector<std::string>> names(const TableReader& reader, std::string_view key, bool needed) {
  BH_TRY(auto all, list(reader, key, needed));
  for (const std::string& name : all) {
    const std::size_t first = name.starts_with('*') ? 1 : 0, last = name.ends_with('*') ? 1 : 0;
    const bool plain = name.size() > first + last &&
                       name.substr(first, name.size() - first - last).find_first_of("*/") == std::string::npos;
    if (!plain) return reader.fail_key(key, in_quotes(name) + ": a name, which may begin and end with `*`");
  }
  return all;
}

Result<Store> store(const TableReader& reader) {
  BH_CHECK(reader.only({"what", "paths", "except"}));
  Store out;
  BH_TRY(out.what, word(reader, "what"));
  BH_TRY(out.paths, list(reader, "paths", true));
  for (const std::string& path : out.paths) {
    if (!path.starts_with("~/") || path.size() < 3) return reader.fail_key("paths", in_quotes(path) + ": `~/…`");
  }
  BH_TRY(out.except, names(reader, "except", false));
  return out;
}

Result<NamePattern> name(const TableReader& reader) {
  BH_CHECK(reader.only({"what", "files", "except", "read"}));
  NamePattern out;
  BH_TRY(out.what, word(reader, "what"));
  BH_TRY(out.files, names(reader, "files", true));
  BH_TRY(out.except, names(reader, "except", false));
  BH_TRY(const auto read, reader.boolean("read"));
  out.read = read.value_or(false);
  return out;
}

Result<ContentPattern> content(const TableReader& reader) {
  BH_CHECK(reader.only({"what", "text", "then", "least"}));
  ContentPattern out;
  BH_TRY(out.what, word(reader, "what"));
  BH_TRY(out.text, word(reader, "text"));
  BH_TRY(const auto then, reader.string("then"));
  BH_TRY(const auto least, reader.count("least", 1, 1000));
  if (then.has_value() != least.has_value()) return reader.fail_table("`then` and `least` belong together");
  if (!then) return out;
  out.least = *least;
  const auto range = [&](unsigned char first, unsigned char last) {
    for (std::size_t c = first; c <= last; ++c) out.then[c] = true;
  };
  for (const char c : *then) {
    if (c == 'A') {
      range('A', 'Z');
    } else if (c == 'a') {
      range('a', 'z');
    } else if (c == '0') {
      range('0', '9');
    } else {
      out.then[static_cast<unsigned char>(c)] = true;
    }
  }
  return out;
}

}  // namespace

Result<Patterns> patterns_from(std::string_view text, const std::string& file) {
  const std::string shown = escape_for_terminal(file);
  BH_TRY(const TomlValue root, parse_toml(text, shown));
  const TableReader reader(root, "", shown);
  BH_CHECK(reader.only({"version", "store", "name", "skip", "content"}));
  BH_TRY(const auto version, reader.count("version", 1, 1));
  if (!version) return fail(shown + ":1: `version` is missing");
  Patterns out;
  BH_TRY(const auto stores, reader.tables_at("store"));
  for (const TomlValue* table : stores) {
    BH_TRY(Store one, store(TableReader(*table, "[[store]]", shown)));
    out.stores.push_back(std::move(one));
  }
  BH_TRY(const auto by_name, reader.tables_at("name"));
  for (const TomlValue* table : by_name) {
    BH_TRY(NamePattern one, name(TableReader(*table, "[[name]]", shown)));
    out.names.push_back(std::move(one));
  }
  BH_TRY(const auto by_content, reader.tables_at("content"));
  for (const TomlValue* table : by_content) {
    BH_TRY(ContentPattern one, content(TableReader(*table, "[[content]]", shown)));
    out.contents.push_back(std::move(one));
  }
  BH_TRY(const TomlValue* skip, reader.table_at("skip"));
  if (skip != nullptr) {
    const TableReader skipping(*skip, "[skip]", shown);
    BH_CHECK(skipping.only({"folders"}));
    BH_TRY(out.skipped, list(skipping, "folders", true));
  }
  return out;
}

Result<Patterns> load_patterns(const std::string& data_dir) {
  const std::string path = data_dir + "/secrets/patterns.toml";
  BH_TRY(const std::string text, sys::read_file(path, max_toml_bytes));
  return patterns_from(text, path);
}

bool matches(std::string_view name, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](std::string_view pattern) {
    const bool open_start = pattern.starts_with('*'), open_end = pattern.ends_with('*');
    if (open_start) pattern.remove_prefix(1);
    if (open_end) pattern.remove_suffix(1);
    if (open_start && open_end) return name.find(pattern) != std::string_view::npos;
    if (open_start) return name.ends_with(pattern);
    if (open_end) return name.starts_with(pattern);
    return name == pattern;
  });
}

const NamePattern* named(const Patterns& patterns, std::string_view name) {
  for (const NamePattern& one : patterns.names) {
    if (matches(name, one.files) && !matches(name, one.except)) return &one;
  }
  return nullptr;
}

const ContentPattern* contained(const Patterns& patterns, std::string_view text) {
  for (const ContentPattern& one : patterns.contents) {
    for (std::size_t at = text.find(one.text); at != std::string_view::npos; at = text.find(one.text, at + 1)) {
      const std::string_view rest = text.substr(at + one.text.size(), one.least);
      const bool follows = rest.size() == one.least &&
                           std::ranges::all_of(rest, [&](char c) { return one.then[static_cast<unsigned char>(c)]; });
      if (follows) return &one;
    }
  }
  return nullptr;
}

}  // namespace bulkhead::secrets
