// Where runsc is. In this order: beside Bulkhead's helpers (./dev puts it there, installing does), where the build was
// told (BULKHEAD_RUNSC), /usr/local/bin and /usr/bin. PATH is not looked at: it is the caller's, who may stand in a
// stranger's folder.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::tier::gvisor {

struct Runsc {
  UniqueFd program;   // O_PATH
  std::string path;   // without links
  bool ours = false;  // came with Bulkhead: its version is known
};

// The first that is there. ENOENT: none is.
Result<Runsc> find_runsc();

// The day it was made, as its version has it ("0.0~20240729.0": 20240729); 0: it does not say. Runs it.
Result<int> date_of(const Runsc& runsc);
int date_in(std::string_view version);

// Older ones have no network stack of their own without root on the host: Debian 12 has one of 2022.
inline constexpr int oldest_date = 20240101;

}  // namespace bulkhead::tier::gvisor
