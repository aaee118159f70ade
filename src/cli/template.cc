// bulkhead template: sandboxes that a command has prepared, saved for sessions that go on from there.
#include "template/template.h"

#include <errno.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/policy_options.h"
#include "cli/session_options.h"
#include "cli/template_options.h"
#include "tier/vm/saved.h"

namespace bulkhead::cli {
namespace {

constexpr const char* create_examples =
    R"(Runs the command in a session of its own, and when it ends with status 0, saves what it left in the session's
memory: files in /tmp, HOME, /var and other in-memory folders. Nothing that it left running. A template of this name
is replaced.

A session that goes on from it (`run --template`, `start --template`) has the same mount points and limits, but its
own tokens, its own CA, its own mounts' contents and modes.

With --tier vm, and neither a name nor a command, what is saved is a machine that has booted, of the policy's memory and
cpus. Sessions on that tier with a machine of this size go on from it by themselves.

Examples:
  bulkhead template create py --policy pip.toml -- python3 -m venv /tmp/venv
  bulkhead run --template py --policy pip.toml -- /tmp/venv/bin/python job.py
  bulkhead template create --tier vm
  id=$(bulkhead start --template py --policy pip.toml)

Exit status: as of `bulkhead run`.)";

struct CreateOptions {
  PolicyOptions policy;
  std::string name;
  bool quiet = false;
};

// What makes it anew. The values of variables are nobody's to keep.
std::vector<std::string> words_of(const CreateOptions& options, const std::vector<std::string>& command) {
  std::vector<std::string> out = {"bulkhead", "template", "create"};
  if (!command.empty()) out.push_back(options.name);
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) out.insert(out.end(), {option, value});
  };
  const PolicyOptions& policy = options.policy;
  add("--policy", policy.policy);
  add("--profile", policy.profile);
  if (policy.no_profile) out.emplace_back("--no-profile");
  add("--tier", policy.tier);
  add("--image", policy.image);
  for (const std::string& one : policy.mounts) add("--mount", one);
  for (const std::string& one : policy.environment) add("--env", one.substr(0, one.find('=')));
  for (const std::string& one : policy.allow_secrets) add("--allow-secrets", one);
  for (const std::string& one : policy.publish) add("--publish", one);
  if (command.empty()) return out;
  out.emplace_back("--");
  out.insert(out.end(), command.begin(), command.end());
  return out;
}

// Runs the session and saves it. The value is its exit status, and where that is 0 the template's size.
struct Made {
  int status = 0;
  std::uint64_t bytes = 0;
};
Result<Made> make(const CreateOptions& options, const std::vector<std::string>& command, session::Options session) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const templates::Store store, templates::Store::open(paths.cache, true));
  BH_TRY(templates::Making making, store.begin(options.name));
  session.saved.emplace();
  session.saved->name = options.name;
  session.saved->image = making.image();
  session.saved->make = true;
  session.saved->judge = [&](const templates::Shape& shape) { return making.write_shape(shape); };
  BH_TRY(session::Begun begun, session::begin());
  BH_TRY(const int status, session::run(session, std::move(begun)));
  if (status != 0) return Made{status, 0};
  templates::Info info;
  info.made = session::rfc3339_now();
  info.command = command;
  info.again = words_of(options, command);
  BH_TRY(const std::uint64_t bytes, making.finish(std::move(info)));
  return Made{0, bytes};
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000);
}

Result<int> create(const CreateOptions& options, const std::vector<std::string>& command) {
  BH_CHECK(templates::check_name(options.name));
  if (options.name.starts_with(templates::machine_prefix)) {
    return fail("a name that begins with " + std::string(templates::machine_prefix) +
                " is a machine's (--tier vm); call it otherwise");
  }
  BH_TRY(session::Options session,
         session_options(for_template(options.policy, options.name), command.front(), false, options.quiet));
  session.command = command;
  session.command.insert(session.command.begin() + 1, session.policy.arguments.begin(), session.policy.arguments.end());
  BH_TRY(const Made made, make(options, command, std::move(session)));
  if (made.status != 0) {
    complain("template " + options.name + " was not made: the command ended with status " + std::to_string(made.status),
             0);
  } else if (!options.quiet) {
    complain("template " + options.name + " is made (" + megabytes(made.bytes) + " MB); bulkhead run --template " +
                 options.name + " goes on from it",
             0);
  }
  return made.status;
}

// A machine as it booted, which nothing of the policy's but its size is in. The session goes on from what was saved, so
// that what does not work is not kept.
Result<int> create_machine(CreateOptions options) {
  BH_TRY(session::Options session, session_options(options.policy, "true", false, true));
  Policy bare;
  bare.tier = Tier::vm;
  bare.no_workspace = true;
  bare.limits.memory = session.policy.limits.memory;
  bare.limits.cpus = session.policy.limits.cpus;
  bare.managed = session.policy.managed;
  session.policy = std::move(bare);
  session.command = {"/usr/bin/true"};
  const tier::vm::Size size = tier::vm::size_of(session.policy.limits);
  options.name = tier::vm::saved_name(size);
  BH_TRY(const Made made, make(options, {}, std::move(session)));
  if (made.status != 0) {
    complain("the machine was not saved: nothing can be run in what was saved of it", 0);
  } else if (!options.quiet) {
    complain("template " + options.name + " is made (" + megabytes(made.bytes) + " MB); sessions of the tier vm with " +
                 std::to_string(size.memory >> 20) + " MiB and " + std::to_string(size.processors) +
                 (size.processors == 1 ? " processor" : " processors") + " go on from it",
             0);
  }
  return made.status;
}

class CreateFormatter : public CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: bulkhead template create [OPTIONS] NAME [OPTIONS] -- COMMAND [ARGUMENTS…]\n"
           "       bulkhead template create [OPTIONS] --tier vm\n";
  }
};

void add_create(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("create", "Run a command, and save what it left in the session's memory");
  const auto options = std::make_shared<CreateOptions>();
  command->add_option("NAME", options->name, "What to call it; not with --tier vm")->type_name("");
  add_policy_options(*command, options->policy);
  command->add_flag("-q,--quiet", options->quiet, "Say nothing unless something fails");
  command->footer(create_examples);
  command->formatter(std::make_shared<CreateFormatter>());
  command->callback([options, &invocation] {
    if (options->policy.tier == name_of(Tier::vm)) {
      if (!options->name.empty() || !invocation.after_dashes.empty()) {
        throw usage("with --tier vm the machine is saved as it boots: leave the name and the command out");
      }
      invocation.action = [options] {
        const auto status = create_machine(*options);
        return status ? *status : complain(status.error().message, session::exit_failure);
      };
      return;
    }
    if (options->name.empty()) throw usage("say NAME, what to call it: bulkhead template create NAME -- COMMAND");
    if (invocation.after_dashes.empty()) {
      throw usage("say what prepares it, for example: bulkhead template create " + options->name + " -- make deps");
    }
    invocation.command = invocation.after_dashes;
    invocation.action = [options, words = invocation.after_dashes] {
      const auto status = create(*options, words);
      return status ? *status : complain(status.error().message, session::exit_failure);
    };
  });
}

Result<void> list(bool json) {
  BH_TRY(const session::Paths paths, user_paths());
  std::vector<templates::Info> all;
  if (const auto store = templates::Store::open(paths.cache, false); store) {
    BH_TRY(all, store->list());
  } else if (store.error().code != ENOENT) {
    return tl::unexpected(store.error());
  }
  if (json) {
    nlohmann::json out = nlohmann::json::array();
    for (const templates::Info& one : all) {
      out.push_back({{"name", one.name},
                     {"made", one.made},
                     {"bytes", one.bytes},
                     {"command", one.command},
                     {"damaged", one.made.empty()}});
    }
    print_json(out);
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "MADE", "MB", "COMMAND"}};
  for (const templates::Info& one : all) {
    const bool damaged = one.made.empty();
    rows.push_back({one.name, damaged ? "damaged" : escape_for_terminal(one.made, 40),
                    damaged ? "-" : megabytes(one.bytes),
                    one.command.empty() && !damaged ? "(a machine of the tier vm)" : command_line(one.command, 80)});
  }
  std::fputs(table(rows).c_str(), stdout);
  return {};
}

void add_list(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("list", "List templates");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As a JSON array");
  command->footer("Whether one still fits this machine is seen when a session is to go on from it. Times are UTC.");
  command->callback([json, &invocation] {
    invocation.action = [json] {
      const auto done = list(*json);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

Result<void> remove(const std::vector<std::string>& names) {
  BH_TRY(const session::Paths paths, user_paths());
  auto store = templates::Store::open(paths.cache, false);
  if (!store && store.error().code == ENOENT) return fail("there are no templates");
  if (!store) return tl::unexpected(std::move(store).error());
  Result<void> result;
  for (const std::string& name : names) {
    auto done = store->remove(name);
    if (done) std::puts(name.c_str());
    if (!done && result) result = std::move(done);  // the others are still removed
  }
  return result;
}

void add_rm(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("rm", "Remove templates");
  const auto names = std::make_shared<std::vector<std::string>>();
  command->add_option("NAME", *names, "What it is called")->type_name("")->required();
  command->footer("Sessions that go on from one keep running. Prints the name of each it removed.");
  command->callback([names, &invocation] {
    invocation.action = [names] {
      const auto done = remove(*names);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace

void add_template(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("template", "Prepared sandboxes that sessions go on from");
  command->require_subcommand(1);
  add_create(*command, invocation);
  add_list(*command, invocation);
  add_rm(*command, invocation);
}

}  // namespace bulkhead::cli
