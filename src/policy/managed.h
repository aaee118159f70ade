// What the administrator of a machine lets policies say: /etc/bulkhead/managed.d/*.toml (managed_folder.h finds them,
// docs/managed.md explains them). Two things, and neither is a matter of what a user, a flag, a profile, a project or
// an answer to --ask says:
//
//   rules    judged last, over the finished policy, whatever made it: it is refused as a whole, by an error that names
//   the
//            line that wants it and the line here that does not. Caps (limits, budgets) make what is more smaller.
//            Of several files every rule holds.
//   a layer  in front of all others: what it sets nobody else sets. Two files that set one thing differently are an
//   error.
//
// Paths: absolute, or `~/…`, which is each user's home as /etc/passwd has it, whatever HOME says.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/layers.h"

namespace bulkhead {

template <class T>
struct Said {
  T value{};
  int line = 0;
};
template <class T>
using Rules = std::optional<Said<T>>;  // unset: no such rule

struct ManagedFile {
  std::string file, sha256;           // its path, and of its content, in hex
  std::string organisation, contact;  // for errors; may be empty

  Rules<std::vector<Tier>> tiers;  // one of these
  // May be on; `secrets`: a mount may bring credentials in, if that is said twice; `tcp`: opaque grants.
  // `allow_control`: a mount may let control files be written.
  Said<bool> ask{true}, toolchains{true}, secrets{true}, tcp{true}, allow_control{true};
  enum class Publish { anywhere, loopback, none };
  Said<Publish> publish;
  // Of what is mounted: it lies in one of these (an empty list: nothing may be mounted); no part of it lies in one of
  // those; none of these modes; and what of it lies there is `review`, `ro` or a private copy.
  Rules<std::vector<std::string>> mount_allow, mount_deny, mount_review;
  Rules<std::vector<MountMode>> forbid_modes;
  // Hosts as a grant writes them; and such with all that is below them.
  Rules<std::vector<std::string>> allow_hosts, deny_hosts;
  // Every grant is made by one of these, name and SHA-256 of its file.
  struct Preset {
    std::string name, sha256;
    int line = 0;
  };
  Rules<std::vector<Preset>> presets;
  Rules<std::vector<std::string>> only_managed;  // "dns", "upstream_ca", "upstream": nobody but this layer sets them
  Rules<std::vector<Credential::Source>> sources;
  Rules<std::vector<std::string>> env_forbid;  // names; a final `*` stands for any rest
  Said<Budget> budget;                         // each grant's, at most

  Document layer;  // what it sets; its `limits` are the most there may be
};

struct Managed {
  std::vector<ManagedFile> files;  // by name
  // What `~` means: to rules that let something be, and to those that don't. Absolute, links resolved.
  std::vector<std::string> own_homes, all_homes;
};

// `file`: its path. Never throws, whatever the text is.
Result<ManagedFile> load_managed(std::string_view text, const std::string& file);
// What it sets, as the strongest of layers.
Document layer_of(const ManagedFile& file);
// That no two set one thing differently.
Result<void> check_managed(const Managed& managed);

// All rules over a policy that is whole, and its caps. Mounts are judged by where they lead now; judge_mount() is to
// say the last word, over what was opened. Sets policy.managed.
Result<void> hold_to(const std::shared_ptr<const Managed>& managed, Policy& policy, const Place& place);
// What the command line asks for that is in no policy: --allow-secrets.
Result<void> judge_flags(const Managed& managed, const CommandLine& flags);
// Grants alone, of a session that runs.
Result<void> hold_to(const Managed& managed, std::vector<Grant>& grants);
// `real`: where the mount leads, every link resolved.
Result<void> judge_mount(const Managed& managed, const Mount& mount, const std::string& real);
// A toolchain folder of the home folder, `real` as above.
Result<void> judge_toolchain(const Managed& managed, const std::string& real);

// The rules as text, for `policy show`: comment lines.
std::string managed_text(const Managed& managed);

}  // namespace bulkhead
