// The effective policy as text, for `bulkhead policy show`: TOML that load.h reads back as the same
// policy, with where each rule comes from as a comment. Presets appear as the grants they expand
// to. Safe to print: whatever a terminal might obey is escaped. No secret is in it (a credential's
// source is, its value never was in the policy).
#pragma once

#include <string>

#include "policy/policy.h"

namespace bulkhead {

std::string policy_text(const Policy& policy);

// One [credential.NAME] of it.
std::string credential_text(const Credential& credential);

// "user, /home/me/.config/bulkhead/policy.toml:12" or just "default".
std::string origin_text(const Origin& origin);

// All of it but the grants, without where it came from: two policies with the same differ in their grants only.
std::string settings_text(Policy policy);

}  // namespace bulkhead
