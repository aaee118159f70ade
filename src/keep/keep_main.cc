// bulkhead-keep: serves one folder that is mounted `rw-no-delete`. It is given the folder, the session's kept folder
// and a socket on which the tier hands it the mount's /dev/fuse.
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/confine.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "keep/filesystem.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int tree_fd = 4;
constexpr int kept_fd = 5;
constexpr int device_fd = 6;  // the socket it comes on
constexpr int failure = 125;
constexpr auto last_writes = std::chrono::milliseconds(500);

// One for each file that the workload has open.
void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  UniqueFd tree(tree_fd), kept(kept_fd), socket(device_fd);
  BH_TRY(const ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return {};  // no session after all
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  const auto quota = object.at("quota").get<std::uint64_t>();
  BH_TRY(ipc::Message device, ipc::receive(socket.get()));
  if (device.closed || device.fds.size() != 1) return {};  // the tier's own end says why
  socket.reset();
  ::umask(0);  // the workload's was applied by its kernel
  raise_open_files();
  const int folders[] = {tree.get(), kept.get()};
  keep::Tree seen(std::move(tree));
  BH_TRY(const UniqueFd own, sys::duplicate(kept.get()));
  BH_TRY(keep::Mirror mirror, keep::Mirror::open(std::move(kept)));
  BH_TRY(UniqueFd nameless, keep::open_beneath(own.get(), "making", O_RDONLY | O_DIRECTORY));
  const int told = supervisor.get();
  keep::Served served{
      std::move(seen), std::move(nameless),
      keep::Keeper(std::move(mirror), quota, [told] { (void)ipc::send(told, nlohmann::json{{"type", "quota"}}); }),
      ::getgid()};
  BH_TRY(keep::Connection connection, keep::Connection::begin(device.fds[0].get(), served));
  (void)device.fds[0].release();  // libfuse's
  BH_CHECK(confine(Role::keep, folders));
  BH_CHECK(ipc::send(supervisor.get(), nlohmann::json{{"type", "ready"}}));
  std::promise<int> promise;
  std::future<int> ended = promise.get_future();
  std::thread([&] {
    const int code = connection.serve();
    // Without anybody to answer, whoever uses the mount would wait for ever.
    if (code != 0) ::_exit(failure);
    promise.set_value(code);
  }).detach();
  // The supervisor closes its end when the session is over. The mount goes with the workload; what it has written
  // was done by then.
  while (true) {
    auto heard = ipc::receive(supervisor.get());
    if (!heard || heard->closed) break;
  }
  (void)ended.wait_for(last_writes);
  (void)sys::remove_tree(own.get(), "making");
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace

int main() {
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE}) ::signal(number, SIG_IGN);
  try {
    if (auto done = run(); !done) {
      std::fprintf(stderr, "%s\n", bulkhead::escape_for_terminal(done.error().message).c_str());
      return failure;
    }
  } catch (const std::exception& error) {  // a library's
    std::fprintf(stderr, "%s\n", bulkhead::escape_for_terminal(error.what()).c_str());
    return failure;
  }
  return 0;
}
