// The sessions that are on record, for the commands that read evidence again.
#pragma once

#include <string>
#include <vector>

#include "advice/record.h"
#include "base/result.h"
#include "session/state/state.h"

namespace bulkhead::cli {

class Records {
 public:
  struct Session {
    std::string id;
    std::string began;  // as evidence writes times; empty: its record does not begin as one should
  };

  // Of the calling user; none where nothing was ever recorded.
  static Result<Records> open();

  const std::vector<Session>& all() const { return all_; }  // oldest first
  // An id, the beginning of one, or "last" for the session that began last.
  Result<std::string> find(const std::string& word) const;
  Result<advice::RecordReader> read(const std::string& id) const;

 private:
  explicit Records(session::Store store) : store_(std::move(store)) {}

  session::Store store_;
  std::vector<Session> all_;
};

}  // namespace bulkhead::cli
