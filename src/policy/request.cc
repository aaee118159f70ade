#include "policy/request.h"

#include <nlohmann/json.hpp>

#include "policy/json.h"

namespace bulkhead {

nlohmann::json to_json(const PolicyRequest& request) {
  return {{"mounts", request.flags.mounts},
          {"environment", request.flags.environment},
          {"publish", request.flags.publish},
          {"ask", request.flags.ask},
          {"allow_secrets", request.flags.allow_secrets},
          {"tier", request.flags.tier ? name_of(*request.flags.tier) : ""},
          {"image", request.flags.image},
          {"policy_file", request.policy_file},
          {"user_file", request.user_file},
          {"profile", request.profile},
          {"command", request.command},
          {"data_dir", request.data_dir},
          {"user_presets", request.user_presets},
          {"trusted_project", request.trusted_project},
          {"working_directory", request.place.working_directory},
          {"home", request.place.home}};
}

Result<PolicyRequest> policy_request_from(const nlohmann::json& object) {
  BH_CHECK(json_read::keys(
      object,
      {"mounts", "environment", "publish", "tier", "ask", "allow_secrets", "image", "policy_file", "user_file",
       "profile", "command", "data_dir", "user_presets", "trusted_project", "working_directory", "home"},
      "what the policy was made from"));
  PolicyRequest request;
  BH_TRY(request.flags.mounts, json_read::strings(object, "mounts"));
  BH_TRY(request.flags.environment, json_read::strings(object, "environment"));
  BH_TRY(request.flags.publish, json_read::strings(object, "publish"));
  BH_TRY(request.flags.allow_secrets, json_read::strings(object, "allow_secrets"));
  BH_TRY(const std::string tier, json_read::string(object, "tier"));
  for (const Tier one : {Tier::native, Tier::gvisor, Tier::vm}) {
    if (tier == name_of(one)) request.flags.tier = one;
  }
  if (!tier.empty() && !request.flags.tier) return fail("an unknown tier");
  BH_TRY(request.flags.ask, json_read::boolean(object, "ask"));
  BH_TRY(request.flags.image, json_read::string(object, "image"));
  BH_TRY(request.policy_file, json_read::string(object, "policy_file"));
  BH_TRY(request.user_file, json_read::string(object, "user_file"));
  BH_TRY(request.profile, json_read::string(object, "profile"));
  BH_TRY(request.command, json_read::string(object, "command"));
  BH_TRY(request.data_dir, json_read::string(object, "data_dir"));
  BH_TRY(request.user_presets, json_read::string(object, "user_presets"));
  BH_TRY(request.trusted_project, json_read::strings(object, "trusted_project"));
  BH_TRY(request.place.working_directory, json_read::string(object, "working_directory"));
  BH_TRY(request.place.home, json_read::string(object, "home"));
  return request;
}

}  // namespace bulkhead
