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
  bool old = false;   // Debian 12's (fallback.h)
};

// The first that is there. ENOENT: none is.
Result<Runsc> find_runsc();

// Debian 12's, which a policy named: where the build was told (BULKHEAD_RUNSC_DEBIAN_12), then as above. ENOENT: it is
// not there. Any other one that is found in its place is an error.
Result<Runsc> find_old_runsc();

// The day it was made, as its version has it ("0.0~20240729.0": 20240729); 0: it does not say. Runs it.
Result<int> date_of(const Runsc& runsc);
int date_in(std::string_view version);

// Older ones have no network stack of their own without root on the host: Debian 12 has one of 2022.
inline constexpr int oldest_date = 20240101;
inline constexpr int old_date = 20221219;

}  // namespace bulkhead::tier::gvisor
