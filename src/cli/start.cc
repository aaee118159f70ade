// bulkhead start: a session that lives until it is stopped, for commands that come later.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sys.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/labels.h"
#include "cli/policy_options.h"
#include "cli/session_options.h"
#include "cli/template_options.h"

namespace bulkhead::cli {
namespace {

constexpr const char* examples =
    R"(Prints the session's id once it takes commands, and returns; the session goes on until `bulkhead stop`, or one of
the policy's limits (duration, idle).

Examples:
  id=$(bulkhead start --tier gvisor)
  bulkhead exec $id -- python3 job.py
  bulkhead cp $id:/tmp/plot.png .
  bulkhead stop $id
  bulkhead start --label tenant=alice --policy service.toml --json)";

struct StartOptions {
  PolicyOptions policy;
  std::vector<std::string> labels;
  std::string from;  // a template
  bool quiet = false, json = false;
  std::optional<int> until_closed;
};

Result<void> judge_until_closed(int fd) {
  struct stat st{};
  if (fd < 3 || ::fstat(fd, &st) != 0) {
    return fail("--until-closed " + std::to_string(fd) +
                ": there is no such descriptor; 3 or more, open in the caller");
  }
  if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) {
    return fail("--until-closed " + std::to_string(fd) + ": only of a pipe or a socket can its end be seen");
  }
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail_errno("fcntl", "--until-closed", errno);
  return {};
}

Result<int> run_session(const StartOptions& options, const std::map<std::string, std::string>& labels, int announce) {
  BH_TRY(session::Begun begun, session::begin());
  BH_TRY(session::Options session,
         session_options(for_template(options.policy, options.from), "", false, options.quiet));
  BH_CHECK(use_template(session, options.from));
  session.announce = announce;
  session.until_closed = options.until_closed;
  session.labels = labels;
  return session::run(session, std::move(begun));
}

// The process that becomes the supervisor: of its caller's it keeps stderr, until the session takes commands.
[[noreturn]] void become_session(const StartOptions& options, const std::map<std::string, std::string>& labels,
                                 UniqueFd announce) {
  ::setsid();
  const auto null = sys::open("/dev/null", O_RDWR);
  if (!null || ::dup2(null->get(), 0) < 0 || ::dup2(null->get(), 1) < 0) ::_exit(session::exit_failure);
  const auto status = run_session(options, labels, announce.release());
  ::_exit(status ? *status : complain(status.error().message, session::exit_failure));
}

Result<int> start(const StartOptions& options) {
  BH_TRY(const auto labels, labels_of(options.labels));
  if (options.until_closed) BH_CHECK(judge_until_closed(*options.until_closed));
  BH_TRY(sys::Pair announced, sys::pipe());
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork", "", errno);
  if (child == 0) {
    announced.first.reset();
    become_session(options, labels, std::move(announced.second));
  }
  announced.second.reset();
  BH_TRY(std::string id, sys::read_all(announced.first.get(), 64, "the session's id"));
  if (id.empty()) {  // why, it has said itself
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return session::exit_failure;
  }
  id.pop_back();
  if (options.json) {
    print_json({{"id", id}, {"pid", child}, {"labels", labels}});
  } else {
    std::printf("%s\n", id.c_str());
  }
  return 0;
}

}  // namespace

void add_start(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("start", "Start a session that lives, for `bulkhead exec`");
  const auto options = std::make_shared<StartOptions>();
  add_policy_options(*command, options->policy);
  add_label_option(*command, options->labels, "For `ps`, the evidence and quotas (`tenant`); may be repeated");
  command->add_flag("-q,--quiet", options->quiet, "Say nothing unless something fails");
  command->add_flag("--json", options->json, "The id as part of a JSON object");
  add_template_option(*command, options->from);
  command
      ->add_option("--until-closed", options->until_closed,
                   "Stop it, too, when this descriptor, a pipe or a socket, is closed at its other end")
      ->type_name("FD");
  command->footer(examples);
  command->callback([options, &invocation] {
    if (!invocation.after_dashes.empty()) throw usage("it runs no command of its own; see `bulkhead exec`");
    invocation.action = [options] {
      const auto status = start(*options);
      return status ? *status : complain(status.error().message, session::exit_failure);
    };
  });
}

}  // namespace bulkhead::cli
