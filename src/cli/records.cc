#include "cli/records.h"

#include <algorithm>
#include <tuple>

#include "base/sys.h"
#include "base/text.h"
#include "cli/common.h"

namespace bulkhead::cli {
namespace {

constexpr std::string_view ending = ".jsonl";

// When a session began. Its policy and its credentials come before the line that says so, nothing else does.
std::string began(advice::RecordReader reader) {
  for (int i = 0; i < 1000; ++i) {
    const auto event = reader.next();
    if (!event || !*event || std::holds_alternative<advice::RecordedRequest>(**event)) break;
    if (const auto* start = std::get_if<advice::SessionStart>(&**event)) return start->time;
  }
  return {};
}

}  // namespace

Result<Records> Records::open() {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(session::Store store, session::Store::open_existing(paths));
  Records out(std::move(store));
  if (out.store_.evidence_directory() < 0) return out;
  BH_TRY(const std::vector<std::string> names, sys::list_directory(out.store_.evidence_directory()));
  for (const std::string& name : names) {
    const std::string id = name.substr(0, name.size() - std::min(name.size(), ending.size()));
    if (!name.ends_with(ending) || !session::valid_id(id)) continue;
    auto reader = out.read(id);
    out.all_.push_back({id, reader ? began(std::move(*reader)) : std::string()});
  }
  std::ranges::sort(
      out.all_, [](const Session& a, const Session& b) { return std::tie(a.began, a.id) < std::tie(b.began, b.id); });
  return out;
}

Result<std::string> Records::find(const std::string& word) const {
  if (all_.empty()) return fail("no session is on record yet: `bulkhead run` makes one");
  if (word == "last") {
    if (all_.back().began.empty()) return fail("no session on record began; name one by its id");
    return all_.back().id;
  }
  std::vector<std::string> fits;
  for (const Session& one : all_) {
    if (!word.empty() && one.id.starts_with(word)) fits.push_back(one.id);
  }
  if (fits.size() == 1) return fits.front();
  if (fits.empty()) return fail("no session \"" + escape_for_terminal(word, 60) + "\" is on record");
  if (fits.size() > 6) {
    return fail("\"" + escape_for_terminal(word, 60) + "\" could be any of " + std::to_string(fits.size()) +
                " sessions");
  }
  return fail("\"" + escape_for_terminal(word, 60) + "\" could be any of " + join(fits, ", "));
}

Result<advice::RecordReader> Records::read(const std::string& id) const {
  const std::string name = id + std::string(ending);
  // Nothing but a file: a link could lead anywhere, and a pipe would keep us waiting.
  BH_TRY(UniqueFd file, sys::open_at(store_.evidence_directory(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  BH_TRY(const struct stat info, sys::stat_fd(file.get(), name));
  if (!S_ISREG(info.st_mode)) return fail("the record of session " + id + " is no regular file");
  return advice::RecordReader(std::move(file), name);
}

}  // namespace bulkhead::cli
