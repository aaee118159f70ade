#include "secrets/stores.h"

#include <algorithm>
#include <iterator>

#include "base/sys.h"
#include "base/text.h"
#include "policy/names.h"

namespace bulkhead::secrets {
namespace {

bool at_or_below(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

// A single file of a store that is no secret.
bool is_harmless(const Store& store, const std::string& real, const std::string& folder) {
  if (!real.starts_with(folder + "/")) return false;
  const std::string name = real.substr(folder.size() + 1);
  return name.find('/') == std::string::npos && matches(name, store.except) && !sys::is_directory(real);
}

bool brings(const Mount& mount, const std::string& real, const std::string& store) {
  if (at_or_below(real, store)) return true;
  if (!at_or_below(store, real)) return false;
  if (!mount.copy) return true;
  const std::string inner = store.substr(real == "/" ? 1 : real.size() + 1);
  return in_copy(mount, inner) || leads_to_copied(mount, inner);
}

// Does one of `paths` name it: the store, or what of it is brought in? A folder above names too much.
bool names_it(const std::vector<std::string>& paths, const std::string& inner, const Present& store,
              const Place& place) {
  return std::ranges::any_of(paths, [&](const std::string& path) {
    const auto found = sys::real_path(absolute_path(path, place));
    return found && at_or_below(inner, *found) && at_or_below(*found, store.real);
  });
}

}  // namespace

std::vector<Present> present_stores(const Patterns& patterns, const std::vector<std::string>& homes) {
  std::vector<Present> out;
  for (const Store& store : patterns.stores) {
    for (const std::string& path : store.paths) {
      for (const std::string& home : homes) {
        // Most are not there, and one question is cheaper than realpath's for each folder above.
        if (!sys::exists(home + path.substr(1))) continue;
        if (auto real = sys::real_path(home + path.substr(1))) out.push_back({&store, path, std::move(*real)});
      }
    }
  }
  return out;
}

std::vector<Present> stores_in(const std::vector<Present>& stores, const Mount& mount, const std::string& real) {
  std::vector<Present> out;
  std::ranges::copy_if(stores, std::back_inserter(out), [&](const Present& one) {
    return brings(mount, real, one.real) && !is_harmless(*one.store, real, one.real);
  });
  return out;
}

Result<void> judge_stores(const std::vector<Present>& stores, const Mount& mount, const std::string& real,
                          const std::vector<std::string>& allowed, const Place& place) {
  const bool from_file = !mount.origin.file.empty();
  for (const Present& held : stores_in(stores, mount, real)) {
    // What is mounted may be a part of it.
    const std::string& inner = at_or_below(real, held.real) ? real : held.real;
    const bool once = names_it(allowed, inner, held, place);
    const bool twice = from_file ? names_it(mount.secrets, inner, held, place) : mount.origin.layer != "default";
    if (once && twice) continue;
    const std::string where =
        from_file ? escape_for_terminal(mount.origin.file) + ":" + std::to_string(mount.origin.line) + ": " : "";
    std::string fix = "to bring them in all the same, say it twice: --allow-secrets " + in_quotes(held.path);
    if (from_file) fix += " on the command line and secrets = [" + in_quotes(held.path) + "] in the mount";
    if (mount.origin.layer == "default") fix += " and --mount";
    return fail(where + "mount " + in_quotes(mount.path) + " would bring in " + held.store->what + " (" + held.path +
                "), which whoever controls the session could then use; mount less, or give it a credential that stays "
                "outside ([credential]); " +
                fix);
  }
  return {};
}

}  // namespace bulkhead::secrets
