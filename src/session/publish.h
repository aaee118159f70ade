// Ports of the host's that lead to a server inside (`--publish`): the listening sockets, made while the caller's own
// privileges last, and what people are told of them.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead::session {

// One socket for each of the policy's, in order. An error says which port is taken, or not to be had, and what to type.
Result<std::vector<UniqueFd>> listen_for(const std::vector<Publish>& publish);

// Ports at which the room answers by itself: nothing of the workload's can listen there.
Result<void> check_inside(const std::vector<Publish>& publish, const std::vector<std::uint16_t>& taken);

// One line for each that others than this machine can reach.
std::vector<std::string> publish_warnings(const std::vector<Publish>& publish);

// "127.0.0.1:8080 -> 80"
std::string published_as(const Publish& publish);

}  // namespace bulkhead::session
