// cli/: one file per command, one line here. A command registers its options with CLI11 and leaves an action to
// run; app.cc alone decides about errors, exit statuses and help.
//
// Exit statuses: `run` has the workload's own, 125 for Bulkhead's failures and for usage, 126/127 as session.h says.
// Everything else: 0, 1 when what was asked for could not be done, 2 for usage, 3 when apply or handoff holds
// something.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <functional>
#include <string>
#include <vector>

namespace bulkhead::cli {

struct Invocation {
  std::vector<std::string> after_dashes;  // what stood behind the first "--", which CLI11 never sees
  bool had_dashes = false;
  std::vector<std::string> command;  // run: the workload's
  std::function<int()> action;
};

void add_run(CLI::App& root, Invocation& invocation);       // run.cc
void add_start(CLI::App& root, Invocation& invocation);     // start.cc
void add_template(CLI::App& root, Invocation& invocation);  // template.cc
void add_claim(CLI::App& root, Invocation& invocation);     // claim.cc
void add_exec(CLI::App& root, Invocation& invocation);      // exec.cc
void add_cp(CLI::App& root, Invocation& invocation);        // cp.cc
void add_mcp(CLI::App& root, Invocation& invocation);       // mcp.cc
void add_ps(CLI::App& root, Invocation& invocation);        // ps.cc
void add_stop(CLI::App& root, Invocation& invocation);      // stop.cc
void add_revoke(CLI::App& root, Invocation& invocation);    // revoke.cc
void add_reload(CLI::App& root, Invocation& invocation);    // reload.cc
void add_trust(CLI::App& root, Invocation& invocation);     // trust.cc
void add_diff(CLI::App& root, Invocation& invocation);      // diff.cc
void add_apply(CLI::App& root, Invocation& invocation);     // apply.cc
void add_discard(CLI::App& root, Invocation& invocation);   // apply.cc
void add_handoff(CLI::App& root, Invocation& invocation);   // handoff.cc
void add_restore(CLI::App& root, Invocation& invocation);   // restore.cc
void add_image(CLI::App& root, Invocation& invocation);     // image.cc
void add_policy(CLI::App& root, Invocation& invocation);    // policy.cc
void add_doctor(CLI::App& root, Invocation& invocation);    // doctor.cc
void add_version(CLI::App& root, Invocation& invocation);   // app.cc

// A mistake in how the command was called: one line, then the exit status for usage.
inline CLI::ParseError usage(const std::string& text) {
  return {text, 2};
}

inline constexpr std::array commands = {add_run,    add_start,  add_template, add_claim,   add_exec,    add_cp,
                                        add_mcp,    add_ps,     add_stop,     add_revoke,  add_reload,  add_trust,
                                        add_diff,   add_apply,  add_discard,  add_handoff, add_restore, add_image,
                                        add_policy, add_doctor, add_version};

}  // namespace bulkhead::cli
