#include "policy/reader.h"

#include <algorithm>

#include "base/text.h"
#include "policy/names.h"
#include "policy/units.h"

namespace bulkhead {

namespace {
std::string shown(std::string_view key) {
  return '`' + escape_for_terminal(key, 60) + '`';
}
}  // namespace

tl::unexpected<Error> TableReader::fail_key(std::string_view key, std::string_view what) const {
  const TomlEntry* entry = find(key);
  return fail(file_ + ":" + std::to_string(entry != nullptr ? entry->line : line()) + ": " + shown(key) +
              (where_.empty() ? "" : " in " + where_) + ": " + std::string(what));
}

tl::unexpected<Error> TableReader::fail_table(std::string_view what) const {
  return fail(file_ + ":" + std::to_string(line()) + ": " + (where_.empty() ? "" : where_ + ": ") + std::string(what));
}

Result<void> TableReader::checked(std::string_view key, Result<void> check) const {
  if (!check) return fail_key(key, check.error().message);
  return {};
}

tl::unexpected<Error> TableReader::wrong_type(const TomlEntry& entry, std::string_view wanted) const {
  return fail_key(entry.key, "must be " + std::string(wanted) + ", not " + name_of(entry.value.type));
}

const TomlEntry* TableReader::find(std::string_view key) const {
  for (const TomlEntry& entry : table_->entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

Result<void> TableReader::only(const std::vector<std::string>& known, const std::vector<Later>& later) const {
  // The first offender of the file, not of the alphabet.
  const TomlEntry* first = nullptr;
  for (const TomlEntry& entry : table_->entries) {
    const bool is_known = std::find(known.begin(), known.end(), entry.key) != known.end();
    if (!is_known && (first == nullptr || entry.line < first->line)) first = &entry;
  }
  if (first == nullptr) return {};
  for (const Later& one : later) {
    if (one.key == first->key) return fail_key(one.key, "not supported yet: " + one.why);
  }
  const std::string near = suggestion(lower_ascii(first->key), known);
  return fail(file_ + ":" + std::to_string(first->line) + ": unknown key " + shown(first->key) +
              (where_.empty() ? "" : " in " + where_) +
              (near.empty() ? "; known here: " + join(known, ", ") : "; did you mean `" + near + "`?"));
}

Result<std::optional<std::string>> TableReader::string(std::string_view key) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->value.type != TomlValue::Type::string) return wrong_type(*entry, "a string");
  if (entry->value.string.find('\0') != std::string::npos) return fail_key(key, "holds a NUL character");
  return entry->value.string;
}

Result<std::optional<bool>> TableReader::boolean(std::string_view key) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->value.type != TomlValue::Type::boolean) return wrong_type(*entry, "true or false");
  return entry->value.boolean;
}

Result<std::optional<std::uint64_t>> TableReader::count(std::string_view key, std::uint64_t least,
                                                        std::uint64_t most) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->value.type != TomlValue::Type::integer) return wrong_type(*entry, "an integer");
  const std::int64_t value = entry->value.integer;
  if (value < 0 || static_cast<std::uint64_t>(value) < least || static_cast<std::uint64_t>(value) > most) {
    return fail_key(
        key, std::to_string(value) + " is out of range: " + std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<std::uint64_t>(value);
}

Result<std::optional<std::uint64_t>> TableReader::size(std::string_view key, std::uint64_t least) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  std::uint64_t bytes = 0;
  if (entry->value.type == TomlValue::Type::integer) {
    if (entry->value.integer < 0) return fail_key(key, "a size is not negative");
    bytes = static_cast<std::uint64_t>(entry->value.integer);
  } else if (entry->value.type == TomlValue::Type::string) {
    auto parsed = parse_size(entry->value.string);
    if (!parsed) return fail_key(key, parsed.error().message);
    bytes = *parsed;
  } else {
    return wrong_type(*entry, "a size like \"20MB\" or a number of bytes");
  }
  if (bytes < least) {
    return fail_key(key, size_text(bytes) + " is less than the least that makes sense, " + size_text(least) +
                             "; is the unit missing?");
  }
  return bytes;
}

Result<std::optional<std::chrono::seconds>> TableReader::duration(std::string_view key) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->value.type != TomlValue::Type::string) return wrong_type(*entry, "a duration like \"90m\"");
  auto parsed = parse_duration(entry->value.string);
  if (!parsed) return fail_key(key, parsed.error().message);
  return *parsed;
}

Result<std::optional<std::vector<std::string>>> TableReader::strings(std::string_view key) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->value.type != TomlValue::Type::array) return wrong_type(*entry, "an array of strings");
  std::vector<std::string> out;
  for (const TomlValue& item : entry->value.items) {
    if (item.type != TomlValue::Type::string) {
      return fail_key(key, std::string("must hold strings only, not ") + name_of(item.type));
    }
    if (item.string.empty()) return fail_key(key, "an empty string matches nothing; leave it out");
    if (item.string.find('\0') != std::string::npos) return fail_key(key, "holds a NUL character");
    if (std::find(out.begin(), out.end(), item.string) != out.end()) {
      return fail_key(key, in_quotes(item.string) + " stands there twice");
    }
    out.push_back(item.string);
  }
  return out;
}

Result<const TomlValue*> TableReader::table_at(std::string_view key) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return nullptr;
  if (entry->value.type != TomlValue::Type::table) return wrong_type(*entry, "a table");
  return &entry->value;
}

Result<std::vector<const TomlValue*>> TableReader::tables_at(std::string_view key) const {
  const TomlEntry* entry = find(key);
  std::vector<const TomlValue*> out;
  if (entry == nullptr) return out;
  if (entry->value.type != TomlValue::Type::array) {
    return fail_key(key, "must be an array of tables: write [[" + std::string(key) + "]]");
  }
  for (const TomlValue& item : entry->value.items) {
    if (item.type != TomlValue::Type::table) {
      return fail_key(key, "must be an array of tables: write [[" + std::string(key) + "]]");
    }
    out.push_back(&item);
  }
  return out;
}

}  // namespace bulkhead
