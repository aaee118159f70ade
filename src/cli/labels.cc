#include "cli/labels.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::cli {
namespace {

constexpr std::size_t max_labels = 32, max_label = 200;

}  // namespace

void add_label_option(CLI::App& command, std::vector<std::string>& labels, const std::string& help) {
  command.add_option("-l,--label", labels, help)->type_name("NAME=VALUE")->allow_extra_args(false);
}

Result<std::map<std::string, std::string>> labels_of(const std::vector<std::string>& words) {
  std::map<std::string, std::string> out;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals == std::string::npos || name.empty() || word.size() > max_label || escape_for_terminal(word) != word) {
      return fail("--label \"" + escape_for_terminal(word, 80) +
                  "\": write NAME=VALUE, of printable characters, at most " + std::to_string(max_label));
    }
    if (!out.emplace(name, word.substr(equals + 1)).second) return fail("--label " + name + " is there twice");
  }
  if (out.size() > max_labels) return fail("there are more than " + std::to_string(max_labels) + " labels");
  return out;
}

bool has_labels(const std::map<std::string, std::string>& labels, const std::map<std::string, std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

}  // namespace bulkhead::cli
