// Facts of this machine that what a tier saves depends on.
#pragma once

#include <string>

#include "base/result.h"

namespace bulkhead::tier {

// SHA-256 of a program or the like, opened in any way (O_PATH too), of 256 MB at most.
Result<std::string> digest_of(int file);
// SHA-256 of what the first processor says of its model and of what it can do.
Result<std::string> processor_digest();
// Its counter (TSC) counts at one rate, whatever it does.
bool counts_steadily();

}  // namespace bulkhead::tier
