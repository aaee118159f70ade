#include "turned/raw_report.h"

#include <fcntl.h>

namespace bulkhead::turned {

std::uint64_t walk(Fuse& fuse, const Place& place, std::uint64_t from) {
  for (const std::string& one : place) {
    const Answer found = fuse.look_up(from, one);
    if (!found.came || found.error != 0) return 0;
    from = found.as<fuse_entry_out>().nodeid;
  }
  return from;
}

// Anew where the server has forgotten what it told.
bool Report::begin(const std::string& file, File& into) {
  const std::uint64_t folder = walk(fuse_, folder_);
  if (into.size == 0) {
    const Answer made = fuse_.create(folder, file, O_RDWR | O_TRUNC, 0666);
    into.node = made.as<fuse_entry_out>().nodeid;
    if (!made.came || made.error != 0 || made.bytes.size() < sizeof(fuse_entry_out) + sizeof(fuse_open_out)) {
      return false;
    }
    fuse_open_out opened{};
    made.bytes.copy(reinterpret_cast<char*>(&opened), sizeof opened, sizeof(fuse_entry_out));
    into.handle = opened.fh;
    return true;
  }
  into.node = walk(fuse_, {file}, folder);
  const Answer opened = fuse_.open(into.node, O_RDWR);
  into.handle = opened.as<fuse_open_out>().fh;
  return opened.came && opened.error == 0;
}

void Report::append(const std::string& file, const std::string& bytes) {
  constexpr std::size_t piece = 1U << 16;
  File& into = files_[file];
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const std::string part = bytes.substr(at, piece);
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (into.node != 0) {
        const Answer written = fuse_.write(into.node, into.handle, part, into.size);
        if (!written.came) return;
        if (written.error == 0) break;
      }
      if (!begin(file, into)) return;
    }
    into.size += part.size();
  }
}

void Report::line(const std::string& text) {
  append("seen", fuse_.take_seen());
  append("report", text + "\n");
  (void)fuse_.take_seen();
}

}  // namespace bulkhead::turned
