#include "review/begin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "review/apply.h"
#include "review/changes.h"

namespace bulkhead::review {
namespace {

constexpr std::size_t max_mounts = 16U << 20;

// A mount point in /proc/self/mountinfo: blanks and the like are written in octal (proc(5)).
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Result<void> can_review(int folder, const std::string& real, const std::string& shown) {
  BH_TRY(const struct stat st, sys::stat_fd(folder, real));
  if (!S_ISDIR(st.st_mode)) {
    return fail(shown + ": mode review needs a folder; mount the folder it is in, or use ro, rw or a private copy");
  }
  BH_TRY(const std::string mounts, sys::read_file("/proc/self/mountinfo", max_mounts));
  for (const std::string& line : split(mounts, '\n')) {
    const std::vector<std::string> fields = split(line, ' ');
    if (fields.size() < 5) continue;
    const std::string point = unescaped(fields[4]);
    if (point == real || !point.starts_with(real + "/")) continue;
    return fail(shown + ": another file system is mounted in it, at \"" + escape_for_terminal(point) +
                "\", and a review shows one only; unmount that, or use rw");
  }
  return {};
}

Result<Review> begin(const Reviews& reviews, int folder, const std::string& real, Info info, uid_t uid, gid_t gid) {
  BH_TRY(const struct stat st, sys::stat_fd(folder, real));
  info.folder = real;
  info.device = st.st_dev;
  info.inode = st.st_ino;
  BH_TRY(Review review, reviews.create(std::move(info)));
  const auto prepare = [&]() -> Result<void> {
    for (const char* name : {"layers", "layers/upper", "layers/work"}) {
      BH_TRY(const UniqueFd fd, sys::open_at(review.directory(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (::fchown(fd.get(), uid, gid) != 0) return fail_errno("chown", name, errno);
    }
    // The folder inside looks as its upper layer does.
    BH_TRY(const UniqueFd upper, review.open_upper());
    if (::fchmod(upper.get(), st.st_mode & 0777) != 0) return fail_errno("fchmod", "upper", errno);
    const timespec times[2] = {st.st_atim, st.st_mtim};
    if (::futimens(upper.get(), times) != 0) return fail_errno("futimens", "upper", errno);
    // Without attributes the overlay could not say that a folder was made anew, and would refuse to make it.
    if (::fsetxattr(upper.get(), "user.bulkhead.try", "y", 1, 0) != 0) {
      return fail("mode review keeps changes below \"" + escape_for_terminal(review.path()) +
                      "\", whose file system has no extended attributes of a user's (" +
                      std::string(::strerrorname_np(errno)) +
                      "); set XDG_STATE_HOME to one that has them (ext4, xfs, btrfs)",
                  errno);
    }
    (void)::fremovexattr(upper.get(), "user.bulkhead.try");
    return {};
  };
  if (auto prepared = prepare(); !prepared) {
    (void)review.erase();
    return tl::unexpected(std::move(prepared).error());
  }
  return review;
}

std::vector<std::string> tend(const Reviews& reviews) {
  std::vector<std::string> said;
  reviews.sweep();
  for (const Info& info : reviews.list()) {
    auto review = reviews.open(info.id, true);
    if (!review || !review->locked()) continue;
    auto recovered = recover(*review);
    if (!recovered) {
      said.push_back("review " + info.id + ": " + recovered.error().message);
      continue;
    }
    if (!recovered->what.empty()) said.push_back(recovered->what);
    // A folder that is gone leaves its review as it is: perhaps it is on a disk that is not there today.
    if (!recovered->erased) (void)seal(*review);
  }
  return said;
}

namespace {

std::string count(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what;
}

std::string line_for(const Review& review) {
  const Info& info = review.info();
  std::string line = "review " + info.id + " of " + escape_for_terminal(info.folder);
  const auto changes = scan(review);
  if (!changes) return line;
  const auto number = [&](Kind kind) {
    return static_cast<std::size_t>(std::ranges::count(changes->list, kind, &Change::kind));
  };
  return line + ": " + count(number(Kind::removed), "removed, ") + count(number(Kind::changed), "changed, ") +
         count(number(Kind::added), "added");
}

bool related(const std::string& a, const std::string& b) {
  return a == b || a.starts_with(b + "/") || b.starts_with(a + "/");
}

}  // namespace

std::vector<std::string> open_lines(const Reviews& reviews, const std::string& session) {
  std::vector<std::string> lines;
  for (const Info& info : reviews.list()) {
    if (info.session != session) continue;
    const auto review = reviews.open(info.id, false);
    if (!review) continue;
    lines.push_back(line_for(*review) + "; the host has not seen them: bulkhead diff " + info.id +
                    ", then apply or discard");
  }
  return lines;
}

std::vector<std::string> earlier_lines(const Reviews& reviews, const std::string& folder, const std::string& session) {
  std::vector<std::string> lines;
  for (const Info& info : reviews.list()) {
    if (info.session == session || !related(info.folder, folder)) continue;
    const auto review = reviews.open(info.id, true);
    if (!review) continue;
    if (!review->locked()) {
      lines.push_back("another session works on " + escape_for_terminal(info.folder) + " too, in review " + info.id +
                      "; neither sees what the other changes");
    } else {
      lines.push_back("review " + info.id + " of " + escape_for_terminal(info.folder) + " (" + info.started +
                      ") is still open, and this session does not see its changes: bulkhead diff " + info.id);
    }
  }
  return lines;
}

}  // namespace bulkhead::review
