#include "trace/lineage.h"

#include <utility>

namespace bulkhead::trace {
namespace {

std::string file_name(const std::string& path) {
  constexpr std::size_t most = 255;  // NAME_MAX
  return path.substr(path.rfind('/') + 1).substr(0, most);
}

}  // namespace

Process& Lineage::entry(int pid) {
  if (processes_.size() >= most && !processes_.contains(pid)) processes_.clear();
  return processes_[pid];
}

void Lineage::began(const Began& what) {
  std::string name = of(what.by.pid).name;  // it goes on with the same program
  entry(what.pid) = {what.by.pid, std::move(name), false};
}

void Lineage::executed(const Executed& what) {
  Process& process = entry(what.by.pid);
  process.name = file_name(what.path);
  process.said = !what.runs;
}

bool Lineage::runs(const Runs& what) {
  Process& process = entry(what.by.pid);
  if (!process.said) process.name.clear();
  return std::exchange(process.said, false);
}

const Process& Lineage::of(int pid) const {
  static const Process unknown;
  const auto found = processes_.find(pid);
  return found == processes_.end() ? unknown : found->second;
}

void Lineage::ended(int pid) {
  processes_.erase(pid);
}

}  // namespace bulkhead::trace
