#include "policy/effective.h"

#include <cerrno>

#include "policy/managed_folder.h"
#include "policy/profile.h"
#include "policy/project.h"

namespace bulkhead {

Result<Policy> effective_policy(const PolicyRequest& request) {
  BH_TRY(const auto managed, find_managed(request.place.home));
  return effective_policy(request, managed);
}

Result<Policy> effective_policy(const PolicyRequest& request, const std::shared_ptr<const Managed>& managed) {
  std::vector<Document> layers;
  if (managed) {
    BH_CHECK(judge_flags(*managed, request.flags));
    for (const ManagedFile& file : managed->files) layers.push_back(layer_of(file));
  }
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
    // Another command's would mean something else, or nothing. A command can have several: `codex`, `codex-login`.
    const std::string own = profile_for_command(request.data_dir, request.command);
    if (profile == own || (!own.empty() && profile.starts_with(own + "-"))) arguments = document.arguments;
    layers.push_back(std::move(document));
  }

  const PresetFolders presets{request.data_dir + "/presets", request.user_presets};
  for (Document& layer : layers) BH_CHECK(expand_presets(presets, layer));
  BH_TRY(Policy policy, merge_layers(layers, request.place));
  policy.profile = profile;
  policy.arguments = std::move(arguments);
  if (!profile.empty()) policy.origins["profile"] = profile_origin;
  BH_CHECK(narrow_to_project(request.data_dir, request.place, request.trusted_project, policy));
  BH_CHECK(hold_to(managed, policy, request.place));
  return policy;
}

}  // namespace bulkhead
