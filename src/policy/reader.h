// Reading one TOML table against a closed list of keys. Every error is "FILE:LINE: `key` in
// [table]: what".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/toml.h"

namespace bulkhead {

class TableReader {
 public:
  // `where` is how errors name the table: "[limits]", "[[grant.allow]]", or empty for the top of
  // the file. `table` must outlive the reader.
  TableReader(const TomlValue& table, std::string where, const std::string& file)
      : table_(&table), where_(std::move(where)), file_(file) {}

  struct Later {
    std::string key, why;  // a key that is known, but not supported by this version
  };
  // Any key that is not in `known` is an error, with the nearest one suggested.
  Result<void> only(const std::vector<std::string>& known, const std::vector<Later>& later = {}) const;

  const TomlEntry* find(std::string_view key) const;
  int line() const { return table_->line; }
  const TomlValue& table() const { return *table_; }
  const std::string& file() const { return file_; }

  // Each returns nullopt when the key is absent, an error when its value is of another type.
  Result<std::optional<std::string>> string(std::string_view key) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::uint64_t>> count(std::string_view key, std::uint64_t least, std::uint64_t most) const;
  // An integer (bytes) or a string that parse_size takes.
  Result<std::optional<std::uint64_t>> size(std::string_view key, std::uint64_t least = 0) const;
  Result<std::optional<std::chrono::seconds>> duration(std::string_view key) const;
  Result<std::optional<std::vector<std::string>>> strings(std::string_view key) const;
  // nullptr when absent.
  Result<const TomlValue*> table_at(std::string_view key) const;
  // An array of tables; empty when absent.
  Result<std::vector<const TomlValue*>> tables_at(std::string_view key) const;

  // The error for this key (its own line) or for the table as a whole.
  tl::unexpected<Error> fail_key(std::string_view key, std::string_view what) const;
  tl::unexpected<Error> fail_table(std::string_view what) const;
  // The same check's message with file, line and key in front.
  Result<void> checked(std::string_view key, Result<void> check) const;

 private:
  tl::unexpected<Error> wrong_type(const TomlEntry& entry, std::string_view wanted) const;

  const TomlValue* table_;
  std::string where_;
  std::string file_;
};

}  // namespace bulkhead
