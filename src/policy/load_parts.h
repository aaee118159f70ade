// The larger parts of load.cc. Each reads one table into the document.
#pragma once

#include "policy/load.h"
#include "policy/reader.h"

namespace bulkhead {

// [credential.NAME]
Result<void> load_credential(const TomlValue& table, const std::string& name, Document& document);

// [[grant]] with its [[grant.allow]] and [grant.budget]
Result<void> load_grant(const TomlValue& table, DocumentKind kind, Document& document);

// [grant.allow.json] of a [[grant.allow]] whose other keys are in `rule` already
Result<void> load_json_rules(const TableReader& reader, Rule& rule);

}  // namespace bulkhead
