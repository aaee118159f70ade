// --label NAME=VALUE, of the commands that know sessions by more than their id.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

void add_label_option(CLI::App& command, std::vector<std::string>& labels, const std::string& help);
Result<std::map<std::string, std::string>> labels_of(const std::vector<std::string>& words);
// Each of `wanted` is among `labels`.
bool has_labels(const std::map<std::string, std::string>& labels, const std::map<std::string, std::string>& wanted);

}  // namespace bulkhead::cli
