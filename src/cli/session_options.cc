#include "cli/session_options.h"

#include "policy/project.h"

namespace bulkhead::cli {

Result<session::Options> session_options(const PolicyOptions& options, const std::string& command, bool ask,
                                         bool quiet) {
  session::Options session;
  BH_TRY(session.request, policy_request(options, command));
  session.request.flags.ask = ask;
  BH_TRY(session.policy, effective_policy(session.request));
  const std::string note = project_note(session.request.place.working_directory, session.request.trusted_project);
  if (!quiet && !note.empty()) complain(note, 0);
  session.quiet = quiet;
  return session;
}

}  // namespace bulkhead::cli
