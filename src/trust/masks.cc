#include "trust/masks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::trust {
namespace {

constexpr std::uint64_t one_name = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

bool plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != "..";
}

// The folder `name` of the mask, made as it is in the project. A project that changed meanwhile (a file, a link,
// nothing in its place) leaves `below` empty: what is masked is then not there, and the mask does no harm.
Result<UniqueFd> enter(int mask, const std::string& name, UniqueFd& below) {
  mode_t mode = 0755;
  if (below) {
    auto child = sys::open_at2(below.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW, one_name);
    below = child ? std::move(*child) : UniqueFd();
  }
  if (below) {
    BH_TRY(const struct stat st, sys::stat_fd(below.get(), name));
    mode = st.st_mode & 0777;
  }
  if (::mkdirat(mask, name.c_str(), 0700) != 0) {
    if (errno != EEXIST) return fail_errno("mkdir", name, errno);
    return sys::open_at2(mask, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, one_name);
  }
  BH_TRY(UniqueFd made, sys::open_at2(mask, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, one_name));
  // The owner has to be able to fill it.
  if (::fchmod(made.get(), mode | 0700) != 0) return fail_errno("fchmod", name, errno);
  return made;
}

Result<void> make_mask(int folder, int below, const std::string& path) {
  const std::vector<std::string> names = split(path, '/');
  for (const std::string& name : names) {
    if (!plain_name(name)) return fail("\"" + escape_for_terminal(path, 300) + "\" can't be masked");
  }
  BH_TRY(UniqueFd here, sys::open_at(folder, ".", O_RDONLY | O_DIRECTORY));
  BH_TRY(UniqueFd there, sys::open_at(below, ".", O_PATH | O_DIRECTORY));
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    BH_TRY(here, enter(here.get(), names[i], there));
  }
  if (::mknodat(here.get(), names.back().c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return fail_errno("mknod (whiteout)", path, errno);
  }
  return {};
}

}  // namespace

Result<void> make_masks(int folder, int below, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) BH_CHECK(make_mask(folder, below, path));
  return {};
}

}  // namespace bulkhead::trust
