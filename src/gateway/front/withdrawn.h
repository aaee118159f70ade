// What is said of a request that a grant allowed which holds no more (gateway/update.h).
#pragma once

#include <optional>

#include "gateway/front/shared.h"
#include "gateway/grant/grant.h"

namespace bulkhead::front {

// `head` was denied. nullopt: it would have been denied before, too, so the denial's own words are the better ones.
std::optional<grant::Decision> withdrawn(const Shared& shared, const grant::RequestHead& head);

}  // namespace bulkhead::front
