// What a workload does in a live folder (src/keep/folder.h): random operations on a small tree with control files and
// originals in it. Whatever they are,
//   - what existed at the beginning is there, or kept, with its content
//   - control files are what they were, and there are no others, by the definition of src/trust/
//   - what was not refused did what it does in a plain folder
#include <errno.h>
#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <stdio.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/sys.h"
#include "base/text.h"
#include "keep/folder.h"
#include "trust/catalogue.h"
#include "trust/spelling.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::keep;
namespace fs = std::filesystem;

void must(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

constexpr const char* lists = R"(version = 1
[[control]]
id = "git"
match = [".git", ".git/config", ".git/hooks/*", ".git/modules/**/hooks/*"]
except = ["*.sample"]
class = "runs"
who = "w"
trigger = "t"
[[control]]
id = "env"
match = [".envrc", "*.code"]
class = "runs"
who = "w"
trigger = "t"
[[control]]
id = "words"
match = [".claude/s", ".claude/all/**"]
class = "instructs"
who = "w"
trigger = "t"
)";

constexpr const char* words[] = {"a",       "b",       "d",    "e",       ".git",     "config", "hooks",
                                 "HEAD",    "objects", "refs", "modules", ".envrc",   ".EnvRC", "x.code",
                                 ".claude", "s",       "all",  "S",       "h.sample", "hEaD"};

const trust::Catalogue& catalogue() {
  static const trust::Catalogue made = [] {
    trust::Catalogue out;
    must(out.add(lists, "f", true).has_value(), "the list");
    return out;
  }();
  return made;
}

std::vector<ControlRule> rules() {
  std::vector<ControlRule> out;
  for (const trust::Rule& rule : catalogue().rules()) out.push_back({rule.id, rule.patterns, rule.except});
  return out;
}

bool counts(const std::string& path) {
  for (const std::size_t id : catalogue().matcher().match_path(path)) {
    if (!catalogue().excepted(id, path)) return true;
  }
  return false;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// path -> what it is; folders too.
std::map<std::string, std::string> tree(const fs::path& top) {
  std::map<std::string, std::string> out;
  for (const auto& one : fs::recursive_directory_iterator(top)) {
    const std::string path = one.path().lexically_relative(top).string();
    out[path] = one.is_symlink()        ? "link to " + fs::read_symlink(one.path()).string()
                : one.is_directory()    ? "folder"
                : one.is_regular_file() ? "file " + content_of(one.path())
                                        : "node";
  }
  return out;
}

// Those that are control files, by their paths and what folders are; links also where a pattern only begins.
std::map<std::string, std::string> controls(const std::map<std::string, std::string>& all) {
  std::map<std::string, std::string> out;
  for (const auto& [path, what] : all) {
    if (what == "folder") continue;
    bool is = counts(path) ||
              (what.starts_with("link") && (counts(path + "/s") || counts(path + "/hooks/x") || counts(path + "/x")));
    std::string above;
    for (const std::string& name : split(path, '/')) {
      const auto holds = [&](const char* part) {
        return all.contains(above.empty() ? std::string(part) : above + "/" + part);
      };
      if (holds("HEAD") && holds("objects") && holds("refs")) {
        const std::string inside = ".git/" + (above.empty() ? path : path.substr(above.size() + 1));
        is = is || counts(inside) || (what.starts_with("link") && (counts(inside + "/x")));
      }
      above += (above.empty() ? "" : "/") + name;
    }
    if (is) out[path] = what;
  }
  return out;
}

struct Scratch {
  fs::path top = fs::path(fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") / ("keep-fuzz-" + std::to_string(::getpid()));
  Scratch() {
    fs::remove_all(top);
    fs::create_directories(top / "kept");
    for (const char* one : {"tree", "twin"}) plant(top / one);
  }
  static void plant(const fs::path& where) {
    for (const char* one : {"d/e", ".git/hooks", ".git/objects", ".git/refs", "b/objects", "b/refs", ".claude"}) {
      fs::create_directories(where / one);
    }
    for (const char* one :
         {"a", "d/a", "d/e/b", ".git/HEAD", ".git/config", ".envrc", "d/.envrc", "b/config", ".claude/s"}) {
      std::ofstream(where / one) << "of " << one;
    }
    fs::create_symlink("d/e/b", where / "e");
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { fs::remove_all(top); }
};

template <class T>
int code(const Result<T>& result) {
  return result ? 0 : result.error().code == 0 ? EIO : result.error().code;
}

std::string path_from(FuzzedDataProvider& in) {
  std::string out;
  const int depth = in.ConsumeIntegralInRange<int>(1, 3);
  for (int i = 0; i < depth; ++i) {
    out += (i == 0 ? "" : "/") + std::string(words[in.ConsumeIntegralInRange<std::size_t>(0, std::size(words) - 1)]);
  }
  return out;
}

Result<void> nothing(const auto& result) {
  return result ? Result<void>() : tl::unexpected(result.error());
}

struct Operation {
  int what;
  std::string from, to, text;

  Result<void> on(LiveFolder& folder) const {
    switch (what) {
      case 0: {
        auto file = folder.create(from, O_WRONLY, 0644);
        return file ? nothing(folder.write(**file, text.data(), text.size(), 0)) : nothing(file);
      }
      case 1: {
        auto file = folder.open(from, O_WRONLY | O_TRUNC);
        if (!file) return nothing(file);
        BH_CHECK(folder.truncate(**file, 0));
        return nothing(folder.write(**file, text.data(), text.size(), 3));
      }
      case 2:
        return nothing(folder.make_folder(from, 0755));
      case 3:
        return nothing(folder.make_link(from, to));
      case 4:
        return nothing(folder.link(from, to));
      case 5:
        return folder.remove(from);
      case 6:
        return folder.remove_folder(from);
      case 7:
        return folder.rename(from, to, 0);
      case 8:
        return folder.rename(from, to, RENAME_NOREPLACE);
      case 9:
        return folder.rename(from, to, RENAME_EXCHANGE);
      case 10:
        return folder.set_mode({.path = from}, 0755);
      case 11:
        return folder.set_times({.path = from}, {{7, 7}, {7, 7}});
      default:
        return nothing(folder.make_node(from, S_IFIFO | 0644));
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  const Scratch scratch;
  const auto before = tree(scratch.top / "tree");
  {
    LiveFolder folder(Tree(std::move(*sys::open((scratch.top / "tree").string(), O_PATH))),
                      std::make_unique<Keeper>(
                          std::move(*Mirror::open(std::move(*sys::open((scratch.top / "kept").string(), O_RDONLY)))),
                          std::uint64_t{1} << 30, nullptr),
                      std::move(*Protection::make(rules(), {}, "/p")), nullptr, ::getgid());
    LiveFolder twin(Tree(std::move(*sys::open((scratch.top / "twin").string(), O_PATH))), nullptr, Protection(),
                    nullptr, ::getgid());
    for (int i = 0; i < 40 && in.remaining_bytes() > 0; ++i) {
      Operation one{.what = in.ConsumeIntegralInRange<int>(0, 12), .from = path_from(in), .to = "", .text = ""};
      one.to = path_from(in);
      one.text = in.ConsumeRandomLengthString(20);
      const auto done = one.on(folder);
      if (code(done) == EROFS) continue;
      const auto plain = one.on(twin);
      must(done.has_value() == plain.has_value(), std::to_string(one.what) + " " + one.from + " " + one.to + ": " +
                                                      std::to_string(code(done)) + " and " +
                                                      std::to_string(code(plain)));
    }
  }
  const auto after = tree(scratch.top / "tree");
  const auto twin_after = tree(scratch.top / "twin");
  for (const auto& [path, what] : after)
    must(twin_after.contains(path) && twin_after.at(path) == what, "not in a plain folder: " + path + ": " + what);
  must(after.size() == twin_after.size(), "less than in a plain folder");
  const auto were = controls(before), are = controls(after);
  for (const auto& [path, what] : are)
    must(were.contains(path) && were.at(path) == what, "a control file came or changed: " + path);
  for (const auto& [path, what] : were) must(are.contains(path), "a control file went: " + path);
  for (const auto& [path, what] : before) {
    if (what == "folder") continue;
    const auto now = after.find(path);
    if (now != after.end() && now->second == what) continue;
    const fs::path kept = scratch.top / "kept/files" / path;
    must(fs::symlink_status(kept).type() != fs::file_type::not_found, "lost: " + path);
    const std::string there =
        fs::is_symlink(kept) ? "link to " + fs::read_symlink(kept).string() : "file " + content_of(kept);
    must(there == what, "not as it was: " + path + ": " + there);
  }
  return 0;
}
