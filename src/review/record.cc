#include "review/record.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "session/state/state.h"

namespace bulkhead::review {

Result<Record> Record::open(const session::Paths& paths) {
  BH_TRY(const session::Store store, session::Store::open(paths));
  const std::string id = session::new_id();
  BH_TRY(const UniqueFd log, sys::open_at(store.evidence_directory(), id + ".jsonl",
                                          O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
  BH_TRY(sys::Pair own, sys::socket_pair(SOCK_SEQPACKET));
  BH_TRY(const UniqueFd program, open_helper("bulkhead-evidence"));
  SpawnOptions options;
  options.program = program.get();
  options.arguments = {"bulkhead-evidence"};
  options.fds = {-1, -1, 2, control.second.get()};
  BH_TRY(Child writer, spawn(options));
  const std::array<int, 2> fds{log.get(), own.second.get()};
  BH_CHECK(
      ipc::send(control.first.get(), nlohmann::json{{"type", "start"}, {"session", id}, {"sources", {"review"}}}, fds));
  return Record(std::move(writer), std::move(control.first), evidence::Recorder(std::move(own.first)));
}

Result<void> Record::say(std::string_view type, const nlohmann::json& fields) {
  return recorder_.record_and_sync(type, fields);
}

Result<void> Record::close() {
  BH_CHECK(ipc::send(control_.get(), nlohmann::json{{"type", "stop"}}));
  BH_TRY(const ExitStatus status, writer_.wait());
  return status.shell() == 0 ? Result<void>() : fail("the record of this command may lack its last lines");
}

}  // namespace bulkhead::review
