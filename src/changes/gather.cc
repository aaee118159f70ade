#include "changes/gather.h"

#include <array>
#include <utility>

namespace bulkhead::changes {
namespace {

using evidence::Event;

constexpr std::size_t longest = 4096;  // of a path, as in the events of processes

constexpr std::array<std::pair<How, std::string_view>, 7> words{{{create, "create"},
                                                                 {write, "write"},
                                                                 {attributes, "attributes"},
                                                                 {moved, "move"},
                                                                 {move_in, "move_in"},
                                                                 {move_out, "move_out"},
                                                                 {removed, "remove"}}};

}  // namespace

Gather::Gather(std::vector<std::string> mounts, Record record, const Limits& limits, Clock::time_point now)
    : mounts_(std::move(mounts)), record_(std::move(record)), limits_(limits), allowance_(limits.allowance, now) {}

Gather::Change* Gather::change(const Place& place, Clock::time_point now) {
  expect(now);
  const auto known = index_.find(place);
  if (known != index_.end()) return &changes_[known->second];
  if (changes_.size() == limits_.most) {
    ++omitted_;
    return nullptr;
  }
  index_.emplace(place, changes_.size());
  changes_.push_back({.place = place});
  return &changes_.back();
}

void Gather::expect(Clock::time_point now) {
  if (!due_) due_ = now + limits_.together;
}

void Gather::add(const Place& place, How how, bool folder, Clock::time_point now) {
  Change* one = change(place, now);
  if (one == nullptr) return;
  one->how |= how;
  one->folder = folder;
}

void Gather::add_move(const Place& from, const Place& to, bool folder, Clock::time_point now) {
  Change* one = change(to, now);
  if (one == nullptr) return;
  one->how |= moved;
  one->folder = folder;
  one->from = from;
}

void Gather::unseen(std::size_t mount, std::string_view reason, std::uint64_t count, Clock::time_point now) {
  expect(now);
  unseen_[{mount, reason}] += count;
}

Result<void> Gather::flush(Clock::time_point now) {
  due_.reset();
  index_.clear();
  for (const Change& one : std::exchange(changes_, {})) {
    std::vector<std::string_view> how;
    for (const auto& [bit, word] : words) {
      if ((one.how & bit) != 0) how.push_back(word);
    }
    Event event("file.changed");
    event.add("mount", mounts_.at(one.place.mount)).add("path", std::string_view(one.place.path).substr(0, longest));
    event.add("how", how);
    if (one.folder) event.add("folder", true);
    if (one.from) {
      event.add("from", std::string_view(one.from->path).substr(0, longest));
      if (one.from->mount != one.place.mount) event.add("from_mount", mounts_.at(one.from->mount));
    }
    event.add("seen_by", "host");
    if (!allowance_.take(event.fields().size(), now)) {
      ++omitted_;
    } else {
      BH_CHECK(record_(event));
    }
  }
  for (const auto& [what, count] : std::exchange(unseen_, {})) {
    Event event("file.unseen");
    event.add("mount", mounts_.at(what.first)).add("reason", what.second).add("folders", count);
    event.add("seen_by", "host");
    BH_CHECK(record_(event));
  }
  if (omitted_ == 0) return {};
  Event event("file.omitted");
  event.add("count", std::exchange(omitted_, 0)).add("seen_by", "host");
  return record_(event);
}

}  // namespace bulkhead::changes
