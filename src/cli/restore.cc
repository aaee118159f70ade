// bulkhead restore: brings back what a mount `rw-no-delete` kept.
#include "keep/restore.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/kept.h"
#include "policy/units.h"

namespace bulkhead::cli {

namespace {

using keep::KeptFolder;
using keep::KeptOriginal;

struct RestoreOptions {
  std::vector<std::string> words;
  std::string older_than;
  bool all = false, list = false, forget = false, json = false;
};

// The path as it is meant from here, without asking the file system: what it names may be gone.
std::string from_here(const std::string& path, const std::string& here) {
  std::vector<std::string> parts;
  for (const std::string& part : split(path.starts_with('/') ? path : here + "/" + path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  return "/" + join(parts, "/");
}

bool holds(const KeptFolder& folder, const std::string& path) {
  return path == folder.folder || path.starts_with(folder.folder + "/");
}

std::string inside(const KeptFolder& folder, const std::string& path) {
  return path == folder.folder ? "" : path.substr(folder.folder.size() + 1);
}

struct Chosen {
  std::vector<KeptFolder> folders;
  std::vector<std::string> paths;  // absolute
};

// The first word may name a session; without one it is the last that kept something of each path.
Result<Chosen> choose(const RestoreOptions& options, const std::vector<KeptFolder>& all, const std::string& here) {
  Chosen out;
  std::vector<std::string> words = options.words;
  std::string session;
  if (!words.empty() && session::valid_id(words.front()) &&
      std::any_of(all.begin(), all.end(), [&](const KeptFolder& one) { return one.session == words.front(); })) {
    session = words.front();
    words.erase(words.begin());
  }
  for (const std::string& word : words) out.paths.push_back(from_here(word, here));
  if (session.empty() && !all.empty()) {
    const std::string wanted = out.paths.empty() ? here : out.paths.front();
    for (const KeptFolder& one : all) {
      if (holds(one, wanted)) session = one.session;  // the latest stays
    }
    if (session.empty() && out.paths.empty() && options.list) session = all.back().session;
  }
  std::copy_if(all.begin(), all.end(), std::back_inserter(out.folders),
               [&](const KeptFolder& one) { return one.session == session; });
  if (out.folders.empty()) return fail("no session kept anything here; `bulkhead restore --list SESSION` names one");
  for (const std::string& path : out.paths) {
    if (std::none_of(out.folders.begin(), out.folders.end(), [&](const KeptFolder& one) { return holds(one, path); })) {
      return fail("\"" + escape_for_terminal(path) + "\" is in no folder that session " + session +
                  " had rw-no-delete");
    }
  }
  return out;
}

Result<int> list(int store, const Chosen& chosen, bool json) {
  nlohmann::json array = nlohmann::json::array();
  for (const KeptFolder& folder : chosen.folders) {
    BH_TRY(const std::vector<KeptOriginal> originals, keep::kept_originals(store, folder));
    if (!json) {
      std::printf("session %s, %s (%s)\n", folder.session.c_str(), escape_for_terminal(folder.folder).c_str(),
                  escape_for_terminal(folder.started).c_str());
    }
    std::vector<std::vector<std::string>> rows;
    for (const KeptOriginal& one : originals) {
      if (json) {
        array.push_back({{"session", folder.session},
                         {"folder", folder.folder},
                         {"path", one.path},
                         {"kept", one.kept},
                         {"type", std::string(1, one.type)},
                         {"size", one.size},
                         {"now", keep::name_of(one.now)}});
      } else {
        rows.push_back(
            {"  " + std::string(keep::name_of(one.now)), std::to_string(one.size),
             escape_for_terminal(one.path, 4096) + (one.kept.starts_with("files/") ? "" : "  (a later one)")});
      }
    }
    if (!json) std::fputs(table(rows).c_str(), stdout);
  }
  if (json) print_json(array);
  return 0;
}

Result<int> bring_back(int store, const Chosen& chosen, bool all) {
  int status = 0;
  std::size_t count = 0;
  for (const KeptFolder& folder : chosen.folders) {
    std::vector<std::string> wanted;
    if (all) wanted.emplace_back();
    for (const std::string& path : chosen.paths) {
      if (holds(folder, path)) wanted.push_back(inside(folder, path));
    }
    for (const std::string& path : wanted) {
      BH_TRY(const keep::Restored done, keep::restore(store, folder, path));
      count += done.files.size();
      for (const std::string& file : done.files) std::printf("%s\n", escape_for_terminal(file, 4096).c_str());
      if (!done.aside.empty()) {
        std::fprintf(stderr, "bulkhead: what stood in the way of %zu is kept beside the originals, in %s/%s/%s\n",
                     done.aside.size(), folder.session.c_str(), folder.name.c_str(), done.replaced.c_str());
      }
      for (const std::string& failed : done.failed) status = complain(escape_for_terminal(failed), exit_failed);
    }
  }
  if (count == 0 && status == 0) std::fputs("bulkhead: nothing to restore: everything is as it was\n", stderr);
  return status;
}

// Those that are named, or all that began long enough ago; none that runs.
Result<int> forget(const session::Store& store, const std::vector<KeptFolder>& all, const RestoreOptions& options) {
  BH_TRY(const std::vector<session::SessionInfo> running, store.list());
  const auto alive = [&](const std::string& id) {
    return std::ranges::any_of(running, [&](const session::SessionInfo& one) { return one.alive && one.id == id; });
  };
  for (const std::string& id : options.words) {
    if (alive(id)) return fail("session " + escape_for_terminal(id) + " still runs");
    if (!session::valid_id(id)) return fail("\"" + escape_for_terminal(id) + "\" is no session's id");
    BH_CHECK(keep::forget(store.kept_directory(), id));
  }
  if (options.older_than.empty()) return 0;
  BH_TRY(const std::chrono::seconds age, parse_duration(options.older_than));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::set<std::string> old;
  for (const KeptFolder& one : all) {
    if (std::chrono::nanoseconds(one.order) <= now - age && !alive(one.session)) old.insert(one.session);
  }
  for (const std::string& id : old) {
    const std::uint64_t bytes = keep::kept_bytes(store.kept_directory(), id).value_or(0);
    BH_CHECK(keep::forget(store.kept_directory(), id));
    std::printf("%s  %llu bytes\n", id.c_str(), static_cast<unsigned long long>(bytes));
  }
  return 0;
}

Result<int> run(const RestoreOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(const std::vector<KeptFolder> all, keep::kept_folders(store.kept_directory()));
  char cwd[4096];
  const std::string here = ::getcwd(cwd, sizeof cwd) == nullptr ? "/" : cwd;
  if (options.forget) return forget(store, all, options);
  if (options.list && all.empty()) {
    if (options.json) print_json(nlohmann::json::array());
    return 0;
  }
  BH_TRY(const Chosen chosen, choose(options, all, here));
  return options.list ? list(store.kept_directory(), chosen, options.json)
                      : bring_back(store.kept_directory(), chosen, options.all);
}

}  // namespace

Result<bool> list_kept(const std::vector<std::string>& words, bool json) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(const std::vector<KeptFolder> all, keep::kept_folders(store.kept_directory()));
  char cwd[4096];
  RestoreOptions options;
  options.words = words;
  const auto chosen = choose(options, all, ::getcwd(cwd, sizeof cwd) == nullptr ? "/" : cwd);
  if (!chosen) return false;
  BH_TRY(const int listed, list(store.kept_directory(), *chosen, json));
  return listed == 0;
}

void add_restore(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("restore", "Bring back what a session's rw-no-delete folders kept");
  const auto options = std::make_shared<RestoreOptions>();
  command->add_option("PATH", options->words, "[SESSION] PATH...: files, or folders with all below them")
      ->type_name("");
  command->add_flag("-a,--all", options->all, "Everything, and the folders' own modes and times");
  command->add_flag("-l,--list", options->list, "Only say what was kept, and what stands there now");
  command->add_flag("--forget", options->forget, "Throw away what the named sessions kept");
  command->add_option("--older-than", options->older_than, "With --forget: what sessions kept that began so long ago")
      ->type_name("AGE");
  command->add_flag("--json", options->json, "With --list: for programs");
  command->footer(
      "Without SESSION it is the last session that had the folder. What stands in the way of an original is put\n"
      "beside the kept ones, and an original stays kept when it is restored: nothing is lost by trying.\n"
      "Prints each path it brought back. Kept files lie in ~/.local/state/bulkhead/kept until they are forgotten;\n"
      "`bulkhead doctor` says what they take.\n\nExamples:\n  bulkhead restore src/main.cc\n"
      "  bulkhead restore --forget --older-than 30d");
  command->callback([options, &invocation] {
    const bool aged = !options->older_than.empty();
    if (options->forget && (options->all || options->list || options->words.empty() != aged)) {
      throw usage("--forget names the sessions, or says --older-than");
    }
    if (aged && !options->forget) throw usage("--older-than goes with --forget");
    if (aged) {
      if (const auto age = parse_duration(options->older_than); !age)
        throw usage("--older-than: " + age.error().message);
    }
    if (!options->forget && !options->list && !options->all && options->words.empty()) {
      throw usage("name what to restore, or --all, or --list");
    }
    invocation.action = [options] {
      const auto done = run(*options);
      return done ? *done : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
