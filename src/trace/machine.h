// A virtual machine as the one that tells (guest/record.h says how). Its kernel is one that the workload may have taken
// over: all that is known of what it says is that it said so.
#pragma once

#include <memory>
#include <string_view>

#include "base/fd.h"
#include "guest/record.h"
#include "trace/teller.h"

namespace bulkhead::trace {

// Waits for the machine's Hello on `stream`. Unset: the supervisor was gone before that.
Result<std::unique_ptr<Teller>> greet_machine(int supervisor, UniqueFd stream);

// What it says as what happened; an error where no kernel says so. Hello is one (it was said before), and Done (who
// reads the stream took it).
Result<Told> told_by_machine(const shim::record::Said& said);

}  // namespace bulkhead::trace
