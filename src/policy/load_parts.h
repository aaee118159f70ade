// The larger parts of load.cc. Each reads one table into the document.
#pragma once

#include "policy/load.h"
#include "policy/reader.h"

namespace bulkhead {

// Bodies with rules are held in memory until they are judged.
inline constexpr std::uint64_t most_held = 128'000'000;

// [credential.NAME]
Result<void> load_credential(const TomlValue& table, const std::string& name, Document& document);

// [limits]
Result<void> load_limits(const TomlValue& table, Document& document);

// [grant.budget], or what `where` calls it
Result<Budget> load_budget(const TomlValue& table, const std::string& where, const std::string& file);

// [upstream]
Result<void> load_upstream(const TomlValue& table, Document& document);

// [[grant]] with its [[grant.allow]] and [grant.budget]
Result<void> load_grant(const TomlValue& table, DocumentKind kind, Document& document);

// [grant.allow.json] of a [[grant.allow]] whose other keys are in `rule` already
Result<void> load_json_rules(const TableReader& reader, Rule& rule);

// [grant.allow.git], likewise
Result<void> load_git_rules(const TableReader& reader, Rule& rule);

// load_document() behind the parser: for what parse_toml() made of a text.
Result<Document> load_root(const TomlValue& root, const std::string& file, const std::string& layer, DocumentKind kind);

}  // namespace bulkhead
