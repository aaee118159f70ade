#include "policy/effective.h"

#include <cerrno>

#include "policy/profile.h"

namespace bulkhead {

Result<Policy> effective_policy(const PolicyRequest& request) {
  std::vector<Document> layers;
  Origin profile_origin{"command line", "", 0};
  std::string profile = request.profile;
  std::vector<std::string> arguments;
  BH_TRY(Document flags, command_line_document(request.flags));
  layers.push_back(std::move(flags));

  const bool named = !request.policy_file.empty();
  const std::string& file = named ? request.policy_file : request.user_file;
  if (!file.empty()) {
    auto user = load_document_file(file, named ? "policy file" : "user");
    // Only "there is no such file" means no user layer. A file that is there and can't be read is
    // an error: going on without it could open what it keeps shut.
    if (!user && (named || user.error().code != ENOENT)) return tl::unexpected(std::move(user).error());
    if (user) {
      if (profile.empty() && user->profile) {
        profile = *user->profile;
        profile_origin = user->origins["profile"];
      }
      layers.push_back(std::move(*user));
    }
  }

  if (profile.empty()) {
    profile = profile_for_command(request.data_dir, request.command);
    profile_origin = {"the command's name", "", 0};
  }
  if (profile == "none") profile.clear();
  if (!profile.empty()) {
    BH_TRY(Document document, load_profile(request.data_dir, profile));
    // Another command's would mean something else, or nothing.
    if (profile_for_command(request.data_dir, request.command) == profile) arguments = document.arguments;
    layers.push_back(std::move(document));
  }

  for (Document& layer : layers) BH_CHECK(expand_presets(request.data_dir, layer));
  BH_TRY(Policy policy, merge_layers(layers, request.place));
  policy.profile = profile;
  policy.arguments = std::move(arguments);
  if (!profile.empty()) policy.origins["profile"] = profile_origin;
  return policy;
}

}  // namespace bulkhead
