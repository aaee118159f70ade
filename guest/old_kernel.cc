#include "guest/old_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "guest/link.h"

namespace bulkhead::shim {
namespace {

constexpr std::size_t expected = 4;

Result<void> put(int from, int at) {
  if (::dup2(from, at) != at) return fail("dup2 failed inside the session", errno);
  return {};
}

}  // namespace

Result<void> take_descriptors(int socket) {
  std::vector<UniqueFd> fds;
  const auto which = Link(stdin_socket).receive(fds);
  if (!which || which->size() != expected) return fail("the session's descriptors did not arrive");
  // Out of the way of the places they go to.
  for (UniqueFd& fd : fds) {
    UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, socket + 2));
    if (!moved) return fail("fcntl(F_DUPFD_CLOEXEC) failed inside the session", errno);
    fd = std::move(moved);
  }
  BH_CHECK(put(stdin_socket, socket));
  {
    // Gone before anything is put at its number.
    const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing) return fail("can't open /dev/null inside the session", errno);
    BH_CHECK(put(nothing.get(), 0));
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < expected; ++i) {
    if ((*which)[i] != with_descriptor) continue;
    if (next == fds.size()) return fail("the session's descriptors did not arrive");
    BH_CHECK(put(fds[next++].get(), i < 3 ? static_cast<int>(i) : socket + 1));
  }
  return {};
}

}  // namespace bulkhead::shim
