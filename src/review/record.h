// The evidence of what a person did with a review when its session was over: a record of its own, written by
// bulkhead-evidence as a session's is (docs/formats.md), with `review` as the source. On the disk before it is done.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/process.h"
#include "base/result.h"
#include "evidence/evidence.h"
#include "session/state/paths.h"

namespace bulkhead::review {

class Record {
 public:
  static Result<Record> open(const session::Paths& paths);
  // Returns when it is on the disk.
  Result<void> say(std::string_view type, const nlohmann::json& fields);
  // The last word. An error: the record may lack its last lines.
  Result<void> close();

 private:
  Record(Child writer, UniqueFd control, evidence::Recorder recorder)
      : writer_(std::move(writer)), control_(std::move(control)), recorder_(std::move(recorder)) {}

  Child writer_;
  UniqueFd control_;
  evidence::Recorder recorder_;
};

}  // namespace bulkhead::review
