// bulkhead-evidence: the only process with the log's descriptor (writer.h says what it speaks).
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/ipc.h"
#include "evidence/writer.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int failure = 125;

bulkhead::Result<int> serve() {
  using namespace bulkhead;
  UniqueFd supervisor(supervisor_fd);
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  BH_TRY(evidence::Start start, evidence::start_from(std::move(message)));
  BH_TRY(evidence::Log log, evidence::Log::open(std::move(start.log), std::move(start.session)));
  // The record outlives a supervisor that was killed by the one line that says so; the closed socket ends us then.
  if (::prctl(PR_SET_PDEATHSIG, 0) != 0) return fail_errno("prctl(PR_SET_PDEATHSIG)", "", errno);
  BH_CHECK(confine(Role::evidence));
  BH_CHECK(ipc::send(supervisor.get(), nlohmann::json{{"type", "ready"}}));
  evidence::Writer writer(std::move(supervisor), std::move(log), std::move(start.sources), std::move(start.sockets));
  return writer.run();
}

}  // namespace

int main() {
  // Ctrl-C reaches the whole foreground group, and a closed terminal hangs it up: the record outlives both.
  // SIGXFSZ would end us where a file size limit should only make the log full.
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE, SIGXFSZ}) ::signal(number, SIG_IGN);
  const auto status = serve();
  if (status) return *status;
  std::fprintf(stderr, "bulkhead-evidence: %s\n", status.error().message.c_str());
  return failure;
}
