// bulkhead-keep: serves one live folder: mode `rw-no-delete`, and `rw` with `protect`. It is given the folder, a socket
// on which the tier hands it the mount's /dev/fuse, where originals are kept the session's kept folder, and one
// message:
//
//   {"type":"keep", "keeps":bool, "quota":BYTES, "protects":[{"id","match":[],"except":[]}], "allow":[patterns],
//    "folder_hex": where it is on the host, "own_numbers":bool (filesystem.h)}
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdio>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "keep/filesystem.h"
#include "keep/refusals.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int tree_fd = 4;
constexpr int device_fd = 5;  // the socket it comes on
constexpr int kept_fd = 6;
constexpr auto last_writes = std::chrono::milliseconds(500);

// One for each file that the workload has open.
void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

bulkhead::Result<bulkhead::keep::Protection> protection(const nlohmann::json& told, const std::string& folder) {
  std::vector<bulkhead::keep::ControlRule> rules;
  for (const nlohmann::json& one : told.at("protects")) {
    rules.push_back({.id = one.at("id").get<std::string>(),
                     .patterns = one.at("match").get<std::vector<std::string>>(),
                     .except = one.at("except").get<std::vector<std::string>>()});
  }
  return bulkhead::keep::Protection::make(rules, told.at("allow").get<std::vector<std::string>>(), folder);
}

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  UniqueFd tree(tree_fd), socket(device_fd), kept;
  BH_TRY(const ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return {};  // no session after all
  BH_TRY(const nlohmann::json told, ipc::parse(message.text));
  if (told.at("keeps").get<bool>()) kept.reset(kept_fd);
  const auto place = unhex(told.at("folder_hex").get<std::string>());
  if (!place) return fail("the folder's path makes no sense");
  BH_TRY(keep::Protection protects, protection(told, *place));
  BH_TRY(ipc::Message device, ipc::receive(socket.get()));
  if (device.closed || device.fds.size() != 1) return {};  // the tier's own end says why
  socket.reset();
  ::umask(0);  // the workload's was applied by its kernel
  raise_open_files();
  const int to = supervisor.get();
  const auto tell = [to](const nlohmann::json& object) { (void)ipc::send(to, object); };
  std::vector<int> folders{tree.get()};
  std::unique_ptr<keep::Keeper> keeper;
  UniqueFd own;
  if (kept) {
    BH_TRY(own, sys::duplicate(kept.get()));
    folders.push_back(own.get());
    BH_TRY(keep::Mirror mirror, keep::Mirror::open(std::move(kept)));
    keeper = std::make_unique<keep::Keeper>(std::move(mirror), told.at("quota").get<std::uint64_t>(),
                                            [tell] { tell(nlohmann::json{{"type", "quota"}}); });
  }
  keep::Refusals refusals(escape_for_terminal(*place, 1000), tell);
  keep::LiveFolder folder(
      keep::Tree(std::move(tree)), std::move(keeper), std::move(protects),
      [&](const char* operation, std::string_view path, std::string_view rule) { refusals.add(operation, path, rule); },
      ::getgid());
  keep::Names names;
  keep::Watch watch(folder, names, [tell] { tell(nlohmann::json{{"type", "watches"}}); });
  keep::Served served{folder, names, watch, told.at("own_numbers").get<bool>()};
  BH_TRY(keep::Connection connection, keep::Connection::begin(device.fds[0].get(), served));
  (void)device.fds[0].release();  // libfuse's
  BH_CHECK(confine(Role::keep, folders));
  BH_CHECK(ipc::send(supervisor.get(), nlohmann::json{{"type", "ready"}}));
  std::promise<int> promise;
  std::future<int> ended = promise.get_future();
  watch.begin(connection.doubts());
  std::thread([&] { watch.run(); }).detach();
  std::thread([&] {
    const int code = connection.serve();
    // Without anybody to answer, whoever uses the mount would wait for ever.
    if (code != 0) ::_exit(helper_failed);
    promise.set_value(code);
  }).detach();
  // The supervisor closes its end when the session is over. The mount goes with the workload; what it has written
  // was done by then.
  while (true) {
    auto heard = ipc::receive(supervisor.get());
    if (!heard || heard->closed) break;
  }
  (void)ended.wait_for(last_writes);
  refusals.rest();
  if (own) (void)sys::remove_tree(own.get(), "making");
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace

int main() {
  return bulkhead::run_helper(run);
}
