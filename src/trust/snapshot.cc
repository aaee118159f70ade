#include "trust/snapshot.h"

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace bulkhead::trust {
namespace {

using nlohmann::json;

// Names may be any bytes; JSON holds UTF-8. What is none is kept in hex, in a list of its own.
json from_bytes(const std::string& bytes) {
  return valid_utf8(bytes) ? json(bytes) : json::array({hex(bytes)});
}

std::string to_bytes(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  auto bytes = unhex(value.at(0).get<std::string>());
  if (!bytes) throw json::other_error::create(0, "not hex", nullptr);
  return std::move(*bytes);
}

json line_of(const std::string& path, const Snapshot::Entry& entry) {
  const Snapshot::Mark& mark = entry.mark;
  json line = json::array({from_bytes(path), mark.inode, mark.size, mark.mtime, mark.ctime, mark.mode});
  if (!entry.read) return line;
  json known{{"counts", entry.counts}, {"sha256", entry.sha256}, {"target", from_bytes(entry.target)}};
  if (entry.text) known["text"] = *entry.text;
  line.push_back(std::move(known));
  return line;
}

Snapshot::Mark mark_in(const json& line) {
  return {line.at(1).get<std::uint64_t>(), line.at(2).get<std::uint64_t>(), line.at(3).get<std::int64_t>(),
          line.at(4).get<std::int64_t>(), line.at(5).get<std::uint32_t>()};
}

void take_line(const json& line, Snapshot& out) {
  Snapshot::Entry entry;
  entry.mark = mark_in(line);
  if (line.size() > 6) {
    const json& known = line.at(6);
    entry.read = true;
    entry.counts = known.at("counts").get<bool>();
    entry.sha256 = known.at("sha256").get<std::string>();
    entry.target = to_bytes(known.at("target"));
    if (known.contains("text")) entry.text = known.at("text").get<std::string>();
  }
  out.entries.emplace(to_bytes(line.at(0)), std::move(entry));
}

std::int64_t nanoseconds(const timespec& t) {
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

Snapshot::Mark snapshot_mark(const struct stat& st) {
  return {st.st_ino, static_cast<std::uint64_t>(st.st_size), nanoseconds(st.st_mtim), nanoseconds(st.st_ctim),
          st.st_mode};
}

std::string why_incomplete(const Snapshot& before, const Snapshot& after) {
  for (const Snapshot* one : {&before, &after}) {
    const Snapshot& other = one == &before ? after : before;
    for (const auto& [path, unseen] : one->unseen) {
      const auto same = other.unseen.find(path);
      if (path != "." && same != other.unseen.end() && same->second == unseen) continue;
      // What could not be seen before, and can now, is all new.
      if (path != "." && one == &before) continue;
      return path + ": " + unseen.why;
    }
  }
  return "";
}

void Snapshot::Entry::take(const Content& content, bool does_something, bool secret, std::size_t& room) {
  read = true;
  counts = does_something;
  sha256 = content.sha256;
  target = content.target;
  leads_to = content.leads_to;
  const std::string& bytes = content.bytes;
  if (secret || !content.problem.empty() || content.folder || bytes.size() > std::min(max_snapshot_text, room)) return;
  if (bytes.find('\0') != std::string::npos || !valid_utf8(bytes)) return;
  room -= bytes.size();
  text = bytes;
}

std::string to_lines(const Snapshot& snapshot) {
  json repositories = json::array();
  for (const std::string& one : snapshot.repositories) repositories.push_back(from_bytes(one));
  json unseen = json::array();
  for (const auto& [path, one] : snapshot.unseen) {
    const Snapshot::Mark& mark = one.mark;
    unseen.push_back(
        json::array({from_bytes(path), mark.inode, mark.size, mark.mtime, mark.ctime, mark.mode, from_bytes(one.why)}));
  }
  std::string out = json{{"v", 1},
                         {"above", from_bytes(snapshot.above)},
                         {"repositories", std::move(repositories)},
                         {"unseen", std::move(unseen)},
                         {"entries", snapshot.entries.size()}}
                        .dump() +
                    "\n";
  for (const auto& [path, entry] : snapshot.entries) out += line_of(path, entry).dump() + "\n";
  return out;
}

Result<Snapshot> snapshot_from(std::string_view lines) {
  Snapshot out;
  const auto next = [&] {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos) throw json::other_error::create(0, "cut off", nullptr);
    const json line = json::parse(lines.substr(0, end));
    lines.remove_prefix(end + 1);
    return line;
  };
  try {
    const json head = next();
    if (head.at("v") != 1) return fail("what was there before the session was written by another version");
    out.above = to_bytes(head.at("above"));
    for (const json& one : head.at("unseen")) {
      out.unseen.emplace(to_bytes(one.at(0)), Snapshot::Unseen{mark_in(one), to_bytes(one.at(6))});
    }
    for (const json& one : head.at("repositories")) out.repositories.insert(to_bytes(one));
    for (auto left = head.at("entries").get<std::size_t>(); left > 0; --left) take_line(next(), out);
    return out;
  } catch (const json::exception&) {
    return fail("what was there before the session is not known any more: the list of it is torn");
  }
}

}  // namespace bulkhead::trust
