#include "tier/gvisor/find.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <charconv>

#include "base/install.h"
#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::tier::gvisor {
namespace {

constexpr int patience = 5000;  // milliseconds, for a program that only says its version

}  // namespace

int date_in(std::string_view text) {
  for (std::size_t at = text.find("20"); at != std::string_view::npos; at = text.find("20", at + 1)) {
    const std::string_view digits = text.substr(at, 8);
    int date = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), date);
    if (error == std::errc() && end == digits.data() + 8) return date;
  }
  return 0;
}

Result<Runsc> find_runsc() {
  if (auto own = open_helper("runsc"); own) {
    BH_TRY(std::string path, sys::path_of(own->get()));
    return Runsc{std::move(*own), std::move(path), true};
  }
  for (const char* name : {BULKHEAD_RUNSC, "/usr/local/bin/runsc", "/usr/bin/runsc"}) {
    auto found = sys::open(name, O_PATH);
    if (!found) continue;
    BH_TRY(std::string path, sys::path_of(found->get()));
    return Runsc{std::move(*found), std::move(path), std::string_view(name) == BULKHEAD_RUNSC};
  }
  return fail("gVisor's runsc is missing; `./dev runsc` fetches Debian 13's, see bulkhead(1), TIERS", ENOENT);
}

Result<Runsc> find_old_runsc() {
  for (const char* name : {BULKHEAD_RUNSC_DEBIAN_12, "/usr/local/bin/runsc", "/usr/bin/runsc"}) {
    auto found = sys::open(name, O_PATH);
    if (!found) continue;
    BH_TRY(std::string path, sys::path_of(found->get()));
    Runsc runsc{std::move(*found), std::move(path), false, true};
    BH_TRY(const int date, date_of(runsc));
    if (date == old_date) return runsc;
    return fail(runsc.path + " is of " + (date == 0 ? "an unknown day" : std::to_string(date)) +
                ", and `runsc = \"debian-12\"` names the one of " + std::to_string(old_date) + "; leave that out");
  }
  return fail("`runsc = \"debian-12\"`: there is none; `apt-get install runsc` on Debian 12, or leave that out",
              ENOENT);
}

Result<int> date_of(const Runsc& runsc) {
  BH_TRY(sys::Pair pipe, sys::pipe());
  SpawnOptions options;
  options.program = runsc.program.get();
  options.arguments = {"runsc", "--version"};
  options.fds = {-1, pipe.second.get(), -1};
  BH_TRY(Child child, spawn(options));
  pipe.second.reset();
  pollfd p{child.pidfd(), POLLIN, 0};
  if (::poll(&p, 1, patience) != 1) return fail(runsc.path + " --version does not end");
  BH_TRY(const std::string said, sys::read_all(pipe.first.get(), 4096, "runsc --version"));
  return date_in(said);
}

}  // namespace bulkhead::tier::gvisor
