#include "gateway/front/denied.h"

#include <nlohmann/json.hpp>

namespace bulkhead::front {
namespace {

constexpr std::size_t max_what = 512, max_why = 1024, max_add = 4096;

std::string cut(std::string text, std::size_t limit) {
  if (text.size() > limit) text.resize(limit);
  return text;
}

}  // namespace

DeniedReports::DeniedReports(Send send, std::size_t kinds, std::chrono::milliseconds interval)
    : send_(std::move(send)), kinds_(kinds), interval_(interval) {}

void DeniedReports::add(Denial denial, Clock::time_point now) {
  auto found = entries_.find(denial.key);
  if (found == entries_.end() && entries_.size() >= kinds_) {
    denial = {"", "other requests", "too many different ones to list; the evidence has them all", ""};
    found = entries_.find(denial.key);
  }
  if (found == entries_.end()) {
    Entry entry;
    entry.what = cut(std::move(denial.what), max_what);
    entry.why = cut(std::move(denial.why), max_why);
    // Half a TOML table would be wrong advice.
    if (denial.add.size() <= max_add) entry.add = std::move(denial.add);
    found = entries_.emplace(std::move(denial.key), std::move(entry)).first;
  }
  Entry& entry = found->second;
  if (entry.unreported++ == 0) ++pending_;
  if (!entry.reported || now - entry.last >= interval_) report(entry, now);
}

void DeniedReports::report(Entry& entry, Clock::time_point now) {
  const nlohmann::json message{
      {"type", "denied"}, {"count", entry.unreported}, {"what", entry.what}, {"why", entry.why}, {"add", entry.add}};
  if (!send_(message)) return;
  entry.unreported = 0;
  entry.last = now;
  entry.reported = true;
  --pending_;
}

void DeniedReports::flush(Clock::time_point now) {
  if (pending_ == 0) return;
  for (auto& [key, entry] : entries_) {
    if (entry.unreported > 0 && (!entry.reported || now - entry.last >= interval_)) report(entry, now);
  }
}

}  // namespace bulkhead::front
