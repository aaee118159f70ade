#include "cli/reviews.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "cli/common.h"
#include "review/apply.h"
#include "review/tree.h"

namespace bulkhead::cli {

namespace {

constexpr std::size_t least_of_id = 6;

Result<std::string> here() {
  char buffer[PATH_MAX];
  if (::getcwd(buffer, sizeof buffer) == nullptr) return fail_errno("getcwd", "", errno);
  return std::string(buffer);
}

// Without "." and "..", as it is written: what is meant may not be there any more.
std::string normal(const std::string& path) {
  std::vector<std::string> parts;
  for (const std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return "/" + join(parts, "/");
}

std::string absolute(const std::string& path, const std::string& working_directory) {
  return normal(path.starts_with('/') ? path : working_directory + "/" + path);
}

bool in(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

std::string names(const std::vector<review::Info>& infos) {
  std::vector<std::string> lines;
  for (const review::Info& info : infos) {
    lines.push_back("\n  " + info.id + "  " + info.started + "  " + escape_for_terminal(info.folder));
  }
  return join(lines, "");
}

// By id, or by where we are; `rest` is left with the paths.
Result<review::Info> choose_review(const std::vector<review::Info>& all, std::vector<std::string>& rest,
                                   const std::string& working_directory) {
  if (!rest.empty() && rest.front().size() >= least_of_id) {
    for (const review::Info& info : all) {
      if (!info.id.starts_with(rest.front())) continue;
      rest.erase(rest.begin());
      return info;
    }
  }
  if (all.empty()) return fail("there is no open review (mode review: bulkhead run --mount .:review -- …)");
  const std::string at = rest.empty() ? working_directory : absolute(rest.front(), working_directory);
  std::vector<review::Info> found;
  std::ranges::copy_if(all, std::back_inserter(found), [&](const review::Info& i) { return in(at, i.folder); });
  if (found.empty() && rest.empty()) {
    std::ranges::copy_if(all, std::back_inserter(found), [&](const review::Info& i) { return in(i.folder, at); });
  }
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail("there is no open review of \"" + escape_for_terminal(at) + "\"; there are:" + names(all));
  return fail("several reviews are open here; say which:" + names(found));
}

}  // namespace

Result<std::string> path_below(const std::string& path, const std::string& working_directory,
                               const std::string& folder) {
  std::string whole = absolute(path, working_directory);
  if (!in(whole, folder)) {
    // Through a link of the user's own, perhaps; the last name may be gone.
    const std::string up = review::parent_of(whole);
    if (const auto real = sys::real_path(up.empty() ? "/" : up); real) whole = *real + "/" + review::leaf(whole);
  }
  if (!in(whole, folder)) {
    return fail("\"" + escape_for_terminal(path) + "\" is not in " + escape_for_terminal(folder) +
                ", which the review is about");
  }
  return whole == folder ? "" : whole.substr(folder.size() + (folder == "/" ? 0 : 1));
}

Result<Meant> meant_review(const std::vector<std::string>& words, bool lock) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const review::Reviews reviews, review::Reviews::open_existing(paths));
  BH_TRY(const std::string working_directory, here());
  reviews.sweep();
  Meant meant;
  std::vector<std::string> rest = words;
  BH_TRY(const review::Info info, choose_review(reviews.list(), rest, working_directory));
  BH_TRY(meant.review, reviews.open(info.id, true));
  if (meant.review.locked()) {
    BH_TRY(const review::Recovered recovered, review::recover(meant.review));
    if (!recovered.what.empty()) std::fprintf(stderr, "bulkhead: %s\n", escape_for_terminal(recovered.what).c_str());
    if (recovered.erased) return fail("with that, nothing is left in review " + info.id);
    // One whose session died: from now on it is known what the changes are about.
    BH_TRY(const bool kept, review::seal(meant.review));
    if (!kept) return fail("nothing was changed in review " + info.id + "; it is closed");
    if (!lock) {
      BH_TRY(meant.review, reviews.open(info.id, false));
    }
  } else if (lock) {
    return fail("review " + info.id + " is in use by session " + info.session +
                "; when that has ended (bulkhead stop " + info.session + "), try again");
  }
  for (const std::string& path : rest) {
    BH_TRY(std::string one, path_below(path, working_directory, info.folder));
    if (one.empty()) {
      meant.paths.clear();
      break;
    }
    meant.paths.push_back(std::move(one));
  }
  return meant;
}

std::vector<const review::Change*> pointers(const review::Changes& changes) {
  std::vector<const review::Change*> out;
  for (const review::Change& change : changes.list) out.push_back(&change);
  return out;
}

std::string counted(const std::vector<const review::Change*>& changes) {
  std::vector<std::string> parts;
  for (const review::Kind kind :
       {review::Kind::removed, review::Kind::changed, review::Kind::added, review::Kind::touched}) {
    const auto n = std::ranges::count(changes, kind, &review::Change::kind);
    if (n > 0) parts.push_back(std::to_string(n) + " " + review::name_of(kind));
  }
  return parts.empty() ? "nothing" : join(parts, ", ");
}

std::string shown(const std::string& path) {
  const std::string escaped = escape_for_terminal(path, 4096);
  const bool plain = escaped == path && path.find(' ') == std::string::npos;
  return plain ? escaped : "\"" + escaped + "\"";
}

std::string described(const struct stat& st) {
  if (S_ISDIR(st.st_mode)) return "folder";
  if (S_ISLNK(st.st_mode)) return "link";
  if (S_ISFIFO(st.st_mode)) return "FIFO";
  if (S_ISSOCK(st.st_mode)) return "socket";
  if (!S_ISREG(st.st_mode)) return "device";
  constexpr std::array units = {"B", "kB", "MB", "GB", "TB"};
  auto size = static_cast<double>(st.st_size);
  std::size_t unit = 0;
  for (; size >= 1000 && unit + 1 < units.size(); ++unit) size /= 1000;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
  return text;
}

std::string reason_of(const review::Change& change) {
  if (!change.refused.empty()) return change.refused;
  if (!change.conflict.empty()) return "conflict: " + change.conflict;
  return "";
}

nlohmann::json to_json(const review::Info& info) {
  return {{"id", info.id},
          {"folder", info.folder},
          {"session", info.session},
          {"started", info.started},
          {"command", info.command}};
}

namespace {

nlohmann::json to_json(const struct stat& st) {
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(st.st_mode & 07777));
  const std::string type = S_ISREG(st.st_mode) ? "file" : described(st);
  return {{"type", type}, {"size", st.st_size}, {"mode", mode}, {"mtime", st.st_mtim.tv_sec}};
}

}  // namespace

nlohmann::json to_json(const review::Change& change) {
  nlohmann::json out{{"path", change.path}, {"kind", review::name_of(change.kind)}};
  // JSON holds text; a name need not be any.
  if (!valid_utf8(change.path)) out["path_hex"] = hex(change.path);
  if (change.before) out["before"] = to_json(*change.before);
  if (change.after) out["after"] = to_json(*change.after);
  if (!change.content) out["content"] = false;
  if (!change.renamed.empty()) out[change.kind == review::Kind::added ? "renamed_from" : "renamed_to"] = change.renamed;
  if (!change.conflict.empty()) out["conflict"] = change.conflict;
  if (!change.refused.empty()) out["refused"] = change.refused;
  if (!change.note.empty()) out["note"] = change.note;
  return out;
}

}  // namespace bulkhead::cli
