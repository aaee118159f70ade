#include "guest/workload.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/landlock.h"
#include "guest/seccomp.h"

namespace bulkhead::shim {
namespace {

constexpr std::string_view default_path = "/usr/local/bin:/usr/bin:/bin";

Result<void> set_limits(const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) {
    const rlimit value{limit.soft, limit.hard};
    if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &value) != 0) {
      return fail("setrlimit(" + std::to_string(limit.resource) + ") failed", errno);
    }
  }
  // A core dump is handed to a program of the host (core_pattern), with the workload's memory.
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return fail("setrlimit(RLIMIT_CORE) failed", errno);
  return {};
}

Result<void> no_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail("prctl(PR_SET_NO_NEW_PRIVS) failed", errno);
  return {};
}

Result<void> send_listener(const Setup& setup, const Link& link) {
  BH_TRY(const UniqueFd listener, apply_seccomp_with_listener());
  if (!link.send(Listening{own_devices(setup)}, listener.get())) return fail("the supervisor is gone");
  return {};
}

Result<void> restrict_workload(const Setup& setup, int abi, const Link& link, Filtered filtered) {
  BH_CHECK(no_new_privileges());
  BH_CHECK(set_limits(setup.limits));
  if (abi > 0) BH_CHECK(apply_landlock(setup.rules, setup.scope, abi));
  if (!setup.set_group && filtered == Filtered::no) BH_CHECK(refuse_set_group());
  if (setup.own_kernel) {
    if (filtered == Filtered::no) BH_CHECK(apply_seccomp_own_kernel());
  } else {
    BH_CHECK(send_listener(setup, link));
  }
  // At exec, so that the pipe which reports a failure lives until then. CLOSE_RANGE_CLOEXEC is Linux 5.11.
  if (!close_from(3, CLOSE_RANGE_CLOEXEC)) return fail("close_range failed", errno);
  if (::chdir(setup.directory.c_str()) != 0)
    return fail("can't enter " + setup.directory + " inside the session", errno);
  return {};
}

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));  // execve(2)'s old type
  out.push_back(nullptr);
  return out;
}

std::string_view path_of(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  }
  return default_path;
}

// One candidate. Returns errno, ENOENT for "look further".
int execute(const std::string& file, std::vector<char*>& argv, std::vector<char*>& environment) {
  ::execve(file.c_str(), argv.data(), environment.data());
  if (errno != ENOEXEC) return errno;
  // A script without "#!" is the shell's, as execvp(3) has it.
  std::string shell = "/bin/sh", name = file;
  std::vector<char*> with_shell{shell.data(), name.data()};
  with_shell.insert(with_shell.end(), argv.begin() + 1, argv.end());
  ::execve(shell.c_str(), with_shell.data(), environment.data());
  return ENOEXEC;
}

Failed explain(const std::string& name, int error, const std::string& found) {
  if (error == ENOENT && !found.empty()) {
    return {127, name + ": its interpreter or loader is not there inside the session"};
  }
  if (error == ENOENT || error == ENOTDIR) {
    return {127, name + ": not found inside the session (is it in the workspace or a mounted toolchain?)"};
  }
  return {126, name + ": can't be executed inside the session: " + ::strerror(error)};
}

Failed execute_search(const Setup& setup) {
  std::vector<char*> argv = c_strings(setup.arguments), environment = c_strings(setup.environment);
  const std::string& name = setup.arguments[0];
  if (name.find('/') != std::string::npos) {
    const int error = execute(name, argv, environment);
    struct stat st{};
    return explain(name, error, ::stat(name.c_str(), &st) == 0 ? name : "");
  }
  int denied = 0;
  std::string found;
  std::string_view rest = path_of(setup.environment);
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    more = colon != std::string_view::npos;
    const std::string_view folder = rest.substr(0, colon);
    rest.remove_prefix(more ? colon + 1 : rest.size());
    // An empty entry means the working directory (execvp(3)): in a workspace that is never what was meant.
    if (folder.empty()) continue;
    std::string file = std::string(folder) + "/" + name;
    const int error = execute(file, argv, environment);
    if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP) {
      struct stat st{};
      if (found.empty() && ::stat(file.c_str(), &st) == 0) found = file;
      continue;
    }
    if (error != EACCES) return explain(name, error, "");
    struct stat st{};
    if (::stat(file.c_str(), &st) == 0) denied = EACCES;  // a folder that can't be searched holds nothing
  }
  return denied != 0 ? explain(name, denied, "") : explain(name, ENOENT, found);
}

}  // namespace

bool close_from(int first, unsigned flags) {
  const auto from = static_cast<unsigned>(first);
  // gVisor (2024) takes the last one for an int.
  return ::syscall(SYS_close_range, from, ~0U, flags) == 0 ||
         (errno == EINVAL && ::syscall(SYS_close_range, from, static_cast<unsigned>(INT_MAX), flags) == 0);
}

void close_between(int first, int last) {
  ::syscall(SYS_close_range, static_cast<unsigned>(first), static_cast<unsigned>(last), 0);
}

std::vector<std::uint64_t> own_devices(const Setup& setup) {
  std::vector<std::uint64_t> devices;
  for (const std::string& folder : setup.own) {
    struct stat st{};
    if (::stat(folder.c_str(), &st) == 0) devices.push_back(st.st_dev);
  }
  return devices;
}

Failed failure(const Error& error) {
  return {125, error.code == 0 ? error.message : error.message + ": " + ::strerror(error.code)};
}

Failed become_workload(const Setup& setup, int landlock_abi, const Link& link, Filtered filtered) {
  if (auto done = restrict_workload(setup, landlock_abi, link, filtered); !done) return failure(done.error());
  return execute_search(setup);
}

Result<void> restrict_shim(const Setup& setup, int landlock_abi, Filtered filtered) {
  BH_CHECK(no_new_privileges());
  // Its own domain, without scopes: it must signal the workload, which can neither signal nor trace it.
  if (landlock_abi > 0) BH_CHECK(apply_landlock({}, false, landlock_abi));
  if (filtered == Filtered::by_parent) return {};
  return setup.own_kernel ? apply_seccomp_own_kernel() : apply_seccomp();
}

Result<void> restrict_holder(const Setup& setup, int landlock_abi) {
  BH_CHECK(no_new_privileges());
  // Without scopes, as above. A command's own domain lies in this one, so it can't reach further.
  if (landlock_abi > 0) BH_CHECK(apply_landlock(setup.rules, false, landlock_abi));
  if (!setup.set_group) BH_CHECK(refuse_set_group());
  return setup.own_kernel ? apply_seccomp_own_kernel() : apply_seccomp();
}

}  // namespace bulkhead::shim
