// The options by which `run` and `policy show` name their policy, once.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/common.h"

namespace bulkhead::cli {

inline void add_policy_options(CLI::App& command, PolicyOptions& options) {
  // One value each: CLI11 would take every word up to the next option for a list.
  command.add_option("-p,--policy", options.policy, "Policy file, in place of ~/.config/bulkhead/policy.toml")
      ->type_name("FILE");
  command.add_option("-P,--profile", options.profile, "Profile: claude, codex, opencode, shell, …")->type_name("NAME");
  command.add_flag("--no-profile", options.no_profile, "No profile, whatever the command is called");
  command.add_option("-t,--tier", options.tier, "How to isolate: native, gvisor")->type_name("TIER");
  command
      .add_option(
          "-i,--image", options.image,
          "The root file system, in place of the host's: a folder, or an OCI archive or layout; `host` for none")
      ->type_name("PATH[:NAME]");
  command.add_option("-m,--mount", options.mounts, "Show PATH inside: rw (default), ro, review; may be repeated")
      ->type_name("PATH[:MODE]")
      ->allow_extra_args(false);
  command.add_option("-e,--env", options.environment, "Set a variable inside, or pass on the host's; may be repeated")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  command
      .add_option("--allow-secrets", options.allow_secrets,
                  "A mount may bring in the credentials at PATH, like ~/.aws; may be repeated")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command.add_option("--publish", options.publish, "Reach a server inside at PORT of this machine; may be repeated")
      ->type_name("[ADDRESS:]PORT[:INSIDE]")
      ->allow_extra_args(false);
}

}  // namespace bulkhead::cli
