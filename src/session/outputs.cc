#include "session/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "handoff/gate.h"
#include "handoff/items.h"
#include "policy/layers.h"
#include "policy/units.h"
#include "review/apply.h"
#include "review/begin.h"
#include "review/record.h"
#include "trust/trust.h"

namespace bulkhead::session {
namespace {

constexpr int max_depth = 100;  // each costs two descriptors
constexpr std::size_t recorded_paths = 200;

class Collector {
 public:
  explicit Collector(const Output& output) : output_(output) {}

  Result<void> folder(int from, int into, int depth) {
    if (depth > max_depth) return fail("it has folders in each other more than " + std::to_string(max_depth) + " deep");
    BH_TRY(const std::vector<std::string> names, sys::list_directory(from));
    for (const std::string& name : names) BH_CHECK(entry(from, name, into, depth));
    return {};
  }

  Collected done;

 private:
  Result<void> entry(int from, const std::string& name, int into, int depth) {
    struct stat st{};
    if (::fstatat(from, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("fstatat", name, errno);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
      ++done.left_out;
      return {};
    }
    if (done.files + done.folders >= output_.max_files) {
      return fail("it has more than " + std::to_string(output_.max_files) + " files and folders (`max_files`)");
    }
    constexpr std::uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
    if (S_ISDIR(st.st_mode)) {
      ++done.folders;
      BH_CHECK(let_in(from, name, st.st_mode));
      BH_TRY(const UniqueFd below, sys::open_at2(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, resolve));
      if (::mkdirat(into, name.c_str(), 0700) != 0) return fail_errno("mkdir", name, errno);
      BH_TRY(const UniqueFd made, sys::open_at(into, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      BH_CHECK(folder(below.get(), made.get(), depth + 1));
      return finish(made.get(), name, st, 0700);
    }
    ++done.files;
    BH_CHECK(let_in(from, name, st.st_mode));
    BH_TRY(const UniqueFd file,
           sys::open_at2(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, resolve));
    BH_TRY(const UniqueFd copy, sys::open_at(into, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    BH_CHECK(content(file.get(), copy.get(), name));
    return finish(copy.get(), name, st, 0600);
  }

  // Its owner may have made it unreadable even for itself.
  static Result<void> let_in(int from, const std::string& name, mode_t mode) {
    const mode_t least = S_ISDIR(mode) ? 0500 : 0400;
    if ((mode & least) == least) return {};
    return ::fchmodat(from, name.c_str(), (mode & 0777) | least, 0) == 0 ? Result<void>()
                                                                         : fail_errno("chmod", name, errno);
  }

  Result<void> content(int file, int copy, const std::string& name) {
    std::string buffer(256 * 1024, '\0');
    for (;;) {
      const ssize_t n = ::read(file, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read", name, errno);
      if (n == 0) return {};
      done.bytes += static_cast<std::uint64_t>(n);
      // Holes and second names count: what lands takes the room.
      if (done.bytes > output_.max_size) {
        return fail("it is larger than " + size_text(output_.max_size) + " (`max_size`)");
      }
      BH_CHECK(sys::write_all(copy, std::string_view(buffer.data(), static_cast<std::size_t>(n)), name));
    }
  }

  static Result<void> finish(int made, const std::string& name, const struct stat& st, mode_t least) {
    if (::fchmod(made, (st.st_mode & 0777) | least) != 0) return fail_errno("fchmod", name, errno);
    const timespec times[2] = {st.st_atim, st.st_mtim};
    return ::futimens(made, times) == 0 ? Result<void>() : fail_errno("futimens", name, errno);
  }

  const Output& output_;
};

// It was sent before the tier's program ran, or never.
Result<UniqueFd> top_of(const Collecting& from) {
  pollfd p{from.socket.get(), POLLIN, 0};
  if (::poll(&p, 1, 0) <= 0) return fail("the session did not get as far as having it");
  BH_TRY(ipc::Message message, ipc::receive(from.socket.get()));
  if (message.closed || message.fds.size() != 1) return fail("the session did not get as far as having it");
  return std::move(message.fds.front());
}

// Nothing half collected.
void empty(int folder) {
  const auto names = sys::list_directory(folder);
  if (!names) return;
  for (const std::string& name : *names) (void)sys::remove_tree(folder, name);
}

Result<std::string> apply_one(const review::Reviews& reviews, const review::Info& info, const Paths& paths,
                              const trust::Catalogue& catalogue) {
  BH_TRY(review::Review review, reviews.open(info.id, true));
  if (!review.locked()) return fail("somebody else is at work on it");
  BH_TRY(const review::Changes changes, review::scan(review));
  BH_TRY(const handoff::Gate gate, handoff::look(review, changes, {}, catalogue, paths));
  review::Wanted wanted;
  for (const handoff::GateFile* file : gate.open()) wanted.held.insert(file->handed.path);
  BH_TRY(const review::Chosen chosen, review::choose(changes, wanted));
  if (!chosen.conflicts.empty() || !chosen.refused.empty()) {
    const review::Change& first = chosen.conflicts.empty() ? *chosen.refused.front() : *chosen.conflicts.front();
    return fail(escape_for_terminal(first.path, 200) +
                (chosen.conflicts.empty() ? " can't be applied" : " was changed on the host meanwhile") +
                "; nothing of it was applied");
  }
  if (chosen.take.empty()) return std::string();
  BH_TRY(review::Record record, review::Record::open(paths));
  nlohmann::json event = {{"review", info.id}, {"of_session", info.session}, {"folder", info.folder}};
  nlohmann::json names = nlohmann::json::array();
  for (std::size_t i = 0; i < chosen.take.size() && i < recorded_paths; ++i) {
    names.push_back(std::string(review::name_of(chosen.take[i]->kind)) + " " +
                    review::encode_path(chosen.take[i]->path).substr(0, 250));
  }
  event["changes"] = std::move(names);
  event["count"] = chosen.take.size();
  const auto say = [&](const char* result) {
    event["result"] = result;
    return record.say("review.apply", event);
  };
  const std::size_t count = chosen.take.size();
  const std::string folder = escape_for_terminal(info.folder, 300);
  auto applied = review::apply(review, chosen, gate.judged, [&] { return say("begun"); });
  auto recorded = say(applied ? "done" : "failed");
  if (recorded) recorded = record.close();
  BH_CHECK(std::move(applied));
  BH_CHECK(std::move(recorded));
  return "output: " + std::to_string(count) + (count == 1 ? " change" : " changes") + " in " + folder;
}

}  // namespace

Result<Collected> collect(const Collecting& from) {
  const std::string shown = "output \"" + escape_for_terminal(from.shown) + "\"";
  const auto whole = [&]() -> Result<Collected> {
    BH_TRY(const UniqueFd top, top_of(from));
    struct statvfs room{};
    if (::fstatvfs(top.get(), &room) != 0) return fail_errno("fstatvfs", from.shown, errno);
    // What did not fit any more is not there: the command may not have noticed.
    if (room.f_bfree == 0) return fail("it is larger than " + size_text(from.output.max_size) + " (`max_size`)");
    if (room.f_ffree == 0) {
      return fail("it has more than " + std::to_string(from.output.max_files) + " files and folders (`max_files`)");
    }
    Collector collector(from.output);
    auto done = collector.folder(top.get(), from.layer.get(), 0);
    if (!done) {
      empty(from.layer.get());
      return tl::unexpected(std::move(done).error());
    }
    return collector.done;
  };
  auto done = whole();
  if (!done) return tl::unexpected(std::move(done).error().with(shown + ": nothing was collected"));
  return done;
}

std::string collected_line(const Collecting& from, const Result<Collected>& done) {
  if (!done) return done.error().message;
  if (done->left_out == 0) return "";
  return "output \"" + escape_for_terminal(from.shown) + "\": " + std::to_string(done->left_out) +
         (done->left_out == 1 ? " link or special file was" : " links or special files were") + " left out";
}

nlohmann::json collected_event(const std::string& folder, const std::string& review, const Result<Collected>& done) {
  nlohmann::json out = {{"folder", folder}, {"review", review}, {"result", done ? "done" : "refused"}};
  if (!done) {
    out["why"] = done.error().message;
    return out;
  }
  out["files"] = done->files;
  out["folders"] = done->folders;
  out["bytes"] = done->bytes;
  out["left_out"] = done->left_out;
  return out;
}

std::vector<std::string> apply_outputs(const Policy& policy, const std::string& working_directory, const Paths& paths,
                                       const std::string& session, const std::string& data) {
  std::vector<std::string> folders;
  for (const Mount& mount : policy.mounts) {
    if (!mount.output || !mount.output->apply) continue;
    if (auto real = sys::real_path(absolute_path(mount.path, {working_directory, paths.home})))
      folders.push_back(*real);
  }
  if (folders.empty()) return {};
  const auto reviews = review::Reviews::open_existing(paths);
  const auto catalogue = trust::load_catalogue(data, paths.config);
  if (!reviews || !catalogue) return {};
  std::vector<std::string> lines = review::tend(*reviews);
  for (const review::Info& info : reviews->list()) {
    if (info.session != session || std::ranges::find(folders, info.folder) == folders.end()) continue;
    auto line = apply_one(*reviews, info, paths, *catalogue);
    if (line && !line->empty()) lines.push_back(std::move(*line));
    if (!line) lines.push_back("output " + escape_for_terminal(info.folder, 300) + ": " + line.error().message);
  }
  return lines;
}

}  // namespace bulkhead::session
