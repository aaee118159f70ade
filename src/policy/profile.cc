#include "policy/profile.h"

#include <algorithm>
#include <filesystem>

#include "base/sys.h"
#include "base/text.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::filesystem::path& path = it->path();
    if (path.extension() == ".toml" && check_name(path.stem().string())) names.push_back(path.stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The file of a profile or preset, once its name is known to stay inside the folder.
Result<std::string> find_file(const std::string& folder, const std::string& kind, const std::string& name) {
  BH_CHECK(check_name(name));
  std::string path = folder + "/" + name + ".toml";
  if (sys::exists(path)) return path;
  const std::vector<std::string> known = names_in(folder);
  const std::string near = suggestion(name, known);
  return fail("no " + kind + " " + in_quotes(name) + " in " + escape_for_terminal(folder) +
              (near.empty() ? "; there are: " + join(known, ", ") : "; did you mean \"" + near + "\"?"));
}

void lay_over(Budget& base, const Budget& over) {
  if (over.requests) base.requests = over.requests;
  if (over.requests_per_minute) base.requests_per_minute = over.requests_per_minute;
  if (over.bytes_up) base.bytes_up = over.bytes_up;
  if (over.bytes_down) base.bytes_down = over.bytes_down;
}

Result<std::vector<Grant>> expand(const std::string& data_dir, const Grant& named) {
  const auto where = [&] { return escape_for_terminal(named.origin.file) + ":" + std::to_string(named.origin.line); };
  auto path = find_file(data_dir + "/presets", "preset", named.preset);
  if (!path) return fail(where() + ": " + path.error().message);
  BH_TRY(const Document preset, load_document_file(*path, "preset " + named.preset, DocumentKind::preset));
  std::vector<Grant> out = preset.grants;
  for (Grant& grant : out) {
    if (!named.credential.empty() && grant.protocol == Protocol::http) {
      return fail(where() + ": a credential never travels over plain http, which preset " + in_quotes(named.preset) +
                  " uses");
    }
    grant.credential = named.credential;
    grant.preset = named.preset;
    grant.origin = named.origin;
    lay_over(grant.budget, named.budget);
  }
  return out;
}

}  // namespace

Result<Document> load_profile(const std::string& data_dir, const std::string& name) {
  BH_TRY(const std::string path, find_file(data_dir + "/profiles", "profile", name));
  return load_document_file(path, "profile " + name, DocumentKind::profile);
}

Result<void> expand_presets(const std::string& data_dir, Document& document) {
  std::vector<Grant> grants;
  for (Grant& grant : document.grants) {
    if (grant.preset.empty()) {
      grants.push_back(std::move(grant));
      continue;
    }
    BH_TRY(std::vector<Grant> expanded, expand(data_dir, grant));
    for (Grant& one : expanded) grants.push_back(std::move(one));
  }
  document.grants = std::move(grants);
  return {};
}

std::string profile_for_command(const std::string& data_dir, const std::string& command) {
  const std::string name = command.substr(command.rfind('/') + 1);  // npos + 1 == 0: no slash
  if (!check_name(name) || name == "none") return {};
  return sys::exists(data_dir + "/profiles/" + name + ".toml") ? name : std::string();
}

std::vector<std::string> profile_names(const std::string& data_dir) {
  return names_in(data_dir + "/profiles");
}
std::vector<std::string> preset_names(const std::string& data_dir) {
  return names_in(data_dir + "/presets");
}

}  // namespace bulkhead
