#include "base/own.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead {

Result<void> judge_own(int fd, const std::string& path, const OwnStore& store) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  if (st.st_uid == ::geteuid() && (st.st_mode & 022) == 0) return {};
  return fail(std::string(store.subject) + " can't be believed: " + escape_for_terminal(path) + " " +
              (st.st_uid != ::geteuid() ? "belongs to uid " + std::to_string(st.st_uid)
                                        : std::string("can be written to by others")) +
              "; " + store.remedy);
}

Result<UniqueFd> own_folder(int parent, const std::string& name, const std::string& path, const OwnStore& store) {
  BH_TRY(UniqueFd fd, sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BH_CHECK(judge_own(fd.get(), path, store));
  return fd;
}

}  // namespace bulkhead
