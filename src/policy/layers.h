// Documents, strongest first -> Policy: managed (what an administrator sets) > command line > user (or the file named
// by
// --policy) > profile > default. What only narrows is no matter of order, and a step of its own behind this one: a
// trusted project's policy (project.h), then the rules of managed policies (managed.h).
//
// How layers combine, key by key:
//   tier, runsc, image, workspace, toolchains, ask,
//   each limit        the strongest layer that says it
//   upstream_ca, dns  the strongest layer that says it, as a whole
//   upstream          the strongest layer that says it, as a whole
//   publish           union; of one port of the host, the strongest layer's
//   credential        by name: the strongest layer's, whole
//   mount             union; a weaker layer's mount goes when a stronger one mounts the same host
//                     path, or something else at the same place
//   grant             union, strongest first, numbered "1", "2", …; a weaker layer's use of a
//                     preset goes when a stronger layer uses that preset, so that its budget and
//                     its credential are the ones that count
//   env.set, env.pass by variable: the strongest layer that names it, either way
//
// The default layer mounts "." rw when no layer mounts the working directory or a folder above it.
// It does not do that in the home folder or above it: that would hand over everything, and is left
// to be said out loud.
//
// Refused here, because only the whole shows it: a grant whose credential nobody defines; a
// variable that is passed or set although a credential comes from it or is exposed in it; two
// credentials exposed in one variable; more grants than fit one message to the processes that judge
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/load.h"

namespace bulkhead {

// What relative and `~` paths are meant against. Absolute paths.
struct Place {
  std::string working_directory;
  std::string home;
};

// What the command line says by itself.
struct CommandLine {
  // PATH or PATH:MODE (PATH alone is rw: whoever types it means to use it).
  std::vector<std::string> mounts;
  // NAME=VALUE, or NAME to pass it on from the host.
  std::vector<std::string> environment;
  std::optional<Tier> tier;
  std::string image = {};  // as `image` in a file; empty: not said
  // [ADDRESS:]PORT[:INSIDE]
  std::vector<std::string> publish = {};
  bool ask = false;
  // Paths of credential stores that mounts may bring in; of a mount that a file says, where it says so, too.
  std::vector<std::string> allow_secrets = {};
};
Result<Document> command_line_document(const CommandLine& flags);

// `strongest_first`: presets already expanded (profile.h). Mount paths stay as written.
Result<Policy> merge_layers(const std::vector<Document>& strongest_first, const Place& place);

// `path` as an absolute, lexically normal path ("~/x" and "x" are resolved, "." and ".." folded).
// No file is looked at.
std::string absolute_path(std::string_view path, const Place& place);

}  // namespace bulkhead
