// bulkhead policy init: a policy to begin with, or one from what a session asked for. It grants nothing by itself.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "advice/propose.h"
#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "cli/common.h"
#include "cli/policy_commands.h"
#include "cli/records.h"
#include "policy/profile.h"

namespace bulkhead::cli {

namespace {

struct InitOptions {
  std::string from, policy, output;
};

// What is there today that the proposal may name.
Result<advice::Known> known_for(const InitOptions& options, const advice::SessionStart& start) {
  PolicyOptions today;
  today.policy = options.policy;
  advice::Known known;
  BH_TRY(const std::string data, data_directory());
  const std::vector<std::string> profiles = profile_names(data);
  if (std::ranges::find(profiles, start.profile) != profiles.end()) known.profile = start.profile;
  today.profile = known.profile;
  today.no_profile = known.profile.empty();
  BH_TRY(const PolicyRequest request, policy_request_anywhere(today, ""));
  BH_TRY(const Policy policy, effective_policy(request));
  known.credentials = policy.credentials;
  for (const Grant& grant : policy.grants) {
    if (grant.origin.layer == "profile " + known.profile) known.profile_grants.push_back(grant);
  }
  known.presets = standalone_presets(data, {data + "/presets", ""}, {});
  return known;
}

Result<std::string> proposal(const InitOptions& options) {
  BH_TRY(const Records records, Records::open());
  BH_TRY(const std::string id, records.find(options.from));
  BH_TRY(advice::RecordReader reader, records.read(id));
  advice::Learner learner;
  for (;;) {
    BH_TRY(const auto event, reader.next());
    if (!event) break;
    learner.see(*event);
  }
  if (reader.broken() > 0) {
    complain(std::to_string(reader.broken()) + " lines of the record of " + id + " are broken and were passed over", 0);
  }
  BH_TRY(const advice::Known known, known_for(options, learner.start()));
  return learner.proposal(id, known);
}

// Only ever a new file: a policy that is there may be in use.
Result<void> write_new(const std::string& path, const std::string& text) {
  auto file = sys::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file && file.error().code == EEXIST) {
    return fail(escape_for_terminal(path) + " is there already, and init overwrites nothing; name another file");
  }
  if (!file) return tl::unexpected(std::move(file).error());
  if (auto written = sys::write_all(file->get(), text, path); !written) {
    ::unlink(path.c_str());
    return written;
  }
  std::fprintf(stderr, "bulkhead: wrote %s; read it, then use it with --policy\n", escape_for_terminal(path).c_str());
  return {};
}

Result<void> init(const InitOptions& options) {
  std::string text = advice::starting_policy();
  if (!options.from.empty()) {
    BH_TRY(text, proposal(options));
  }
  if (!options.output.empty()) return write_new(options.output, text);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

void add_policy_init(CLI::App& policy, Invocation& invocation) {
  CLI::App* command =
      policy.add_subcommand("init", "Write a policy to begin with, or one for what a session asked for");
  const auto options = std::make_shared<InitOptions>();
  command->add_option("--from", options->from, "A recorded session: its id, the beginning of it, or `last`")
      ->type_name("SESSION");
  command->add_option("-p,--policy", options->policy, "Where its credentials are defined, in place of your own policy")
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "A new file, in place of standard output")->type_name("FILE");
  command->footer(
      "With --from, the tightest grants for what the session asked for, allowed and denied alike; what no policy\n"
      "should grant is listed in comments. It grants nothing: read it, then use it with --policy.\n\nExamples:\n"
      "  bulkhead policy init > ~/.config/bulkhead/policy.toml\n"
      "  bulkhead policy init --from last --output project.toml");
  command->callback([options, command, &invocation] {
    if (command->count("--from") > 0 && options->from.empty()) throw usage("--from names no session");
    if (options->from.empty() && !options->policy.empty()) throw usage("--policy says something only beside --from");
    invocation.action = [options] {
      const auto done = init(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
