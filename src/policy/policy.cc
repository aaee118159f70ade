#include "policy/policy.h"

namespace bulkhead {

const char* name_of(Tier tier) {
  switch (tier) {
    case Tier::native:
      return "native";
    case Tier::gvisor:
      return "gvisor";
    case Tier::vm:
      return "vm";
  }
  return "?";
}

const char* name_of(MountMode mode) {
  switch (mode) {
    case MountMode::ro:
      return "ro";
    case MountMode::rw:
      return "rw";
    case MountMode::rw_no_delete:
      return "rw-no-delete";
    case MountMode::review:
      return "review";
  }
  return "?";
}

const char* name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::https:
      return "https";
    case Protocol::http:
      return "http";
  }
  return "?";
}

}  // namespace bulkhead
