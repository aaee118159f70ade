// bulkhead-broker: broker.h says what it does and is told.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/text.h"
#include "base/trim.h"
#include "broker/broker.h"
#include "broker/confine.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int failure = 125;

// The next message, which has to be of this type and carry one descriptor. An empty one: the
// supervisor is gone.
bulkhead::Result<bulkhead::UniqueFd> expect(int supervisor, const char* type, nlohmann::json& object) {
  using namespace bulkhead;
  BH_TRY(ipc::Message message, ipc::receive(supervisor));
  if (message.closed) return UniqueFd();
  BH_TRY(object, ipc::parse(message.text));
  if (object.value("type", "") != type || message.fds.size() != 1) return fail("a message that makes no sense");
  return std::move(message.fds[0]);
}

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  BH_TRY(const broker::Proc proc, broker::open_proc());
  nlohmann::json object;
  BH_TRY(UniqueFd user_namespace, expect(supervisor.get(), "start", object));
  if (!user_namespace) return {};
  BH_CHECK(broker::join(user_namespace.get()));
  user_namespace.reset();
  release_startup_pages();
  BH_TRY(UniqueFd listener, expect(supervisor.get(), "listen", object));
  if (!listener) return {};
  return broker::serve(supervisor.get(), std::move(listener), object.value("own", std::vector<std::string>()), proc,
                       broker::enter);
}

}  // namespace

int main() {
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE}) ::signal(number, SIG_IGN);
  try {
    const auto done = run();
    if (done) return 0;
    std::fprintf(stderr, "%s\n", bulkhead::escape_for_terminal(done.error().message).c_str());
  } catch (const std::exception& error) {  // a library's
    std::fprintf(stderr, "%s\n", bulkhead::escape_for_terminal(error.what()).c_str());
  }
  return failure;
}
