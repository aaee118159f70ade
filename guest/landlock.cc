#include "guest/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

namespace bulkhead::shim {
namespace {

// Declared here: Debian 12's linux/landlock.h ends at ABI 2. Values are the kernel's (uapi/linux/landlock.h).
struct RulesetAttribute {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;  // ABI 4
  std::uint64_t scoped;              // ABI 6
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
constexpr unsigned version_flag = 1;  // LANDLOCK_CREATE_RULESET_VERSION
constexpr int rule_path_beneath = 1;  // LANDLOCK_RULE_PATH_BENEATH

enum Right : std::uint64_t {
  execute = 1 << 0,
  write_file = 1 << 1,
  read_file = 1 << 2,
  read_dir = 1 << 3,
  remove_dir = 1 << 4,
  remove_file = 1 << 5,
  make_char = 1 << 6,
  make_dir = 1 << 7,
  make_reg = 1 << 8,
  make_sock = 1 << 9,
  make_fifo = 1 << 10,
  make_block = 1 << 11,
  make_sym = 1 << 12,
  refer = 1 << 13,      // ABI 2
  truncate = 1 << 14,   // ABI 3
  ioctl_dev = 1 << 15,  // ABI 5
};
constexpr std::uint64_t scope_abstract_unix_socket = 1 << 0, scope_signal = 1 << 1;  // ABI 6

// Everything this ABI can restrict.
std::uint64_t known(int abi) {
  std::uint64_t rights = (1 << 13) - 1;
  if (abi >= 2) rights |= refer;
  if (abi >= 3) rights |= truncate;
  if (abi >= 5) rights |= ioctl_dev;
  return rights;
}

std::uint64_t rights_of(Access access) {
  constexpr std::uint64_t read = read_file | read_dir;
  // No device nodes: they outlive the session in a mount.
  constexpr std::uint64_t write = read | write_file | remove_dir | remove_file | make_dir | make_reg | make_sock |
                                  make_fifo | make_sym | refer | truncate | ioctl_dev;
  switch (access) {
    case Access::read:
      return read;
    case Access::run:
      return read | execute;
    case Access::write:
      return write;
    case Access::full:
      return write | execute;
  }
  return 0;
}

// What can be said of something that is not a directory; more is EINVAL.
constexpr std::uint64_t file_rights = execute | write_file | read_file | truncate | ioctl_dev;

Result<void> add_rule(int ruleset, const Rule& rule, int abi) {
  const UniqueFd path(::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
  if (!path) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return fail("Landlock: can't open " + rule.path, errno);
  }
  struct stat st{};
  if (::fstat(path.get(), &st) != 0) return fail("Landlock: can't stat " + rule.path, errno);
  PathBeneath beneath{rights_of(rule.access) & known(abi), path.get()};
  if (!S_ISDIR(st.st_mode)) beneath.allowed_access &= file_rights;
  if (::syscall(SYS_landlock_add_rule, ruleset, rule_path_beneath, &beneath, 0) != 0) {
    return fail("Landlock: no rule can be made for " + rule.path, errno);
  }
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_flag);
  return abi <= 0 ? 0 : abi > max_abi ? max_abi : static_cast<int>(abi);
}

Result<void> apply_landlock(const std::vector<Rule>& rules, bool scope, int abi) {
  RulesetAttribute attribute{};
  attribute.handled_access_fs = known(abi);
  if (scope && abi >= 6) attribute.scoped = scope_abstract_unix_socket | scope_signal;
  // Kernels take a longer structure when what they don't know is zero (ABI 1 knows the first field).
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attribute, sizeof attribute, 0)));
  if (!ruleset) return fail("Landlock: landlock_create_ruleset failed", errno);
  for (const Rule& rule : rules) BH_CHECK(add_rule(ruleset.get(), rule, abi));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail("Landlock: landlock_restrict_self failed", errno);
  }
  return {};
}

}  // namespace bulkhead::shim
