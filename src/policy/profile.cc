#include "policy/profile.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "policy/names.h"
#include "policy/parameters.h"
#include "policy/toml.h"

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
  if (over.bytes_up_per_minute) base.bytes_up_per_minute = over.bytes_up_per_minute;
  if (over.bytes_down_per_minute) base.bytes_down_per_minute = over.bytes_down_per_minute;
}

Result<std::string> find_preset(const PresetFolders& folders, const std::string& name) {
  BH_CHECK(check_name(name));
  std::string own = folders.own.empty() ? std::string() : folders.own + "/" + name + ".toml";
  const bool is_own = !own.empty() && sys::exists(own);
  if (is_own && sys::exists(folders.shipped + "/" + name + ".toml")) {
    return fail("preset " + in_quotes(name) + " is shipped, and " + escape_for_terminal(own) +
                " has its name: give yours another");
  }
  if (is_own) return own;
  auto shipped = find_file(folders.shipped, "preset", name);
  if (shipped || folders.own.empty()) return shipped;
  const std::string near = suggestion(name, names_in(folders.own));
  if (near.empty()) return shipped;
  return fail("no preset " + in_quotes(name) + "; did you mean \"" + near + "\"?");
}

Result<std::vector<Grant>> expand(const PresetFolders& folders, const Grant& named) {
  const auto where = [&] { return escape_for_terminal(named.origin.file) + ":" + std::to_string(named.origin.line); };
  auto path = find_preset(folders, named.preset);
  if (!path) return fail(where() + ": " + path.error().message);
  BH_TRY(const std::string text, sys::read_file(*path, max_toml_bytes));
  BH_TRY(const Document preset, load_preset(text, *path, "preset " + named.preset, &named));
  std::vector<Grant> out = preset.grants;
  const std::string digest = sha256_hex(text);
  for (Grant& grant : out) {
    if (!named.credential.empty() && is_plain(grant.protocol)) {
      return fail(where() + ": a credential never travels over plain " + name_of(grant.protocol) + ", which preset " +
                  in_quotes(named.preset) + " uses");
    }
    grant.credential = named.credential;
    grant.preset = named.preset;
    grant.preset_sha256 = digest;
    grant.origin = named.origin;
    lay_over(grant.budget, named.budget);
    if (named.expires && (!grant.expires || *named.expires < *grant.expires)) grant.expires = named.expires;
  }
  return out;
}

Result<void> summarise(const PresetFolders& folders, PresetSummary& one) {
  BH_CHECK(find_preset(folders, one.name));
  BH_TRY(const std::string text, sys::read_file(one.file, max_toml_bytes));
  BH_CHECK(load_preset(text, one.file, one.name, nullptr));
  const std::string shown = escape_for_terminal(one.file);
  BH_TRY(const TomlValue root, parse_toml(text, shown));
  BH_TRY(const auto parameters, load_parameters(root, shown));
  for (const auto& [name, parameter] : parameters) {
    const bool needed = parameter.default_values.empty() && !parameter.optional;
    one.parameters.push_back(needed ? name : "[" + name + "]");
  }
  if (text.starts_with("# ")) one.title = text.substr(2, std::min(text.find('\n'), text.size()) - 2);
  return {};
}

}  // namespace

Result<Document> load_profile(const std::string& data_dir, const std::string& name) {
  BH_TRY(const std::string path, find_file(data_dir + "/profiles", "profile", name));
  return load_document_file(path, "profile " + name, DocumentKind::profile);
}

Result<void> expand_presets(const std::string& data_dir, Document& document) {
  return expand_presets(PresetFolders{data_dir + "/presets", ""}, document);
}

Result<void> expand_presets(const PresetFolders& folders, Document& document) {
  std::vector<Grant> grants;
  for (Grant& grant : document.grants) {
    if (grant.preset.empty()) {
      grants.push_back(std::move(grant));
      continue;
    }
    BH_TRY(std::vector<Grant> expanded, expand(folders, grant));
    for (Grant& one : expanded) grants.push_back(std::move(one));
  }
  document.grants = std::move(grants);
  return {};
}

std::vector<PresetSummary> preset_summaries(const PresetFolders& folders) {
  std::vector<PresetSummary> all;
  for (const std::string& folder : {folders.shipped, folders.own}) {
    if (folder.empty()) continue;
    for (const std::string& name : names_in(folder)) {
      PresetSummary one{name, folder + "/" + name + ".toml", "", {}, ""};
      if (auto read = summarise(folders, one); !read) one.error = read.error().message;
      all.push_back(std::move(one));
    }
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return std::tie(a.name, a.file) < std::tie(b.name, b.file); });
  return all;
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

std::vector<std::pair<std::string, std::vector<Grant>>> standalone_presets(const std::string& data_dir,
                                                                           const PresetFolders& folders,
                                                                           const Origin& origin) {
  std::vector<std::pair<std::string, std::vector<Grant>>> out;
  for (const std::string& name : preset_names(data_dir)) {
    Document document;
    document.layer = origin.layer;
    document.grants.emplace_back();
    document.grants.back().preset = name;
    document.grants.back().origin = origin;
    // One that can't stand by itself is no shortcut for anything.
    if (expand_presets(folders, document)) out.emplace_back(name, std::move(document.grants));
  }
  return out;
}

}  // namespace bulkhead
