// What happened to each file within a second is one event, however often it happened; and of events no more than is
// allowed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/allowance.h"
#include "base/result.h"
#include "changes/tree.h"
#include "evidence/evidence.h"

namespace bulkhead::changes {

// Of a change; several of one file in one event.
enum How : std::uint32_t {
  create = 1,
  write = 2,
  attributes = 4,
  moved = 8,      // here, from another place of these folders
  move_in = 16,   // here, from anywhere else
  move_out = 32,  // away; where to is not in these folders
  removed = 64,
};

class Gather {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    Allowance::Limits allowance = {};
    std::chrono::milliseconds together{1000};
    std::size_t most = 20'000;  // files at a time
  };
  using Record = std::function<Result<void>(const evidence::Event&)>;
  // `mounts`: their targets, by number.
  Gather(std::vector<std::string> mounts, Record record, const Limits& limits, Clock::time_point now);

  void add(const Place& place, How how, bool folder, Clock::time_point now);
  void add_move(const Place& from, const Place& to, bool folder, Clock::time_point now);
  // Something in that mount is not seen: `reason` is one of ours. `count`: of folders.
  void unseen(std::size_t mount, std::string_view reason, std::uint64_t count, Clock::time_point now);
  // flush() is to be called in a while, whatever there is by then.
  void expect(Clock::time_point now);

  // When flush() is to be called; unset: there is nothing.
  std::optional<Clock::time_point> due() const { return due_; }
  Result<void> flush(Clock::time_point now);

 private:
  struct Change {
    Place place;
    std::uint32_t how = 0;
    bool folder = false;
    std::optional<Place> from = std::nullopt;
  };
  Change* change(const Place& place, Clock::time_point now);

  std::vector<std::string> mounts_;
  Record record_;
  Limits limits_;
  Allowance allowance_;
  std::vector<Change> changes_;
  std::map<Place, std::size_t> index_;
  std::map<std::pair<std::size_t, std::string_view>, std::uint64_t> unseen_;
  std::uint64_t omitted_ = 0;
  std::optional<Clock::time_point> due_;
};

}  // namespace bulkhead::changes
