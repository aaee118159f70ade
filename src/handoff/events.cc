#include "handoff/events.h"

#include <nlohmann/json.hpp>

#include "handoff/items.h"
#include "review/review.h"

namespace bulkhead::handoff {
namespace {

constexpr std::size_t room = 32 * 1024;
constexpr std::size_t longest = 1024;

}  // namespace

nlohmann::json files_of(const std::vector<const trust::Handed*>& files) {
  nlohmann::json out = nlohmann::json::array();
  std::size_t size = 0;
  for (const trust::Handed* one : files) {
    const std::string path = review::encode_path(one->path).substr(0, longest);
    size += path.size() + 160;
    if (size > room) break;
    out.push_back({{"path", path},
                   {"class", trust::name_of(one->kind)},
                   {"change", change_of(*one)},
                   {"sha256", one->after.sha256}});
  }
  return out;
}

nlohmann::json event_of(const Decision& decision) {
  return {{"decision", decision.decision},  {"by", decision.by},
          {"pattern", decision.pattern},    {"ms", decision.ms},
          {"count", decision.files.size()}, {"files", files_of(decision.files)}};
}

}  // namespace bulkhead::handoff
