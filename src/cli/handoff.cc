// bulkhead handoff: what sessions left that the host could run or obey - held in reviews, or there already.
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/held.h"
#include "cli/reviews.h"
#include "handoff/live.h"
#include "handoff/watch.h"
#include "keep/restore.h"
#include "review/content.h"
#include "review/record.h"

namespace bulkhead::cli {
namespace {

constexpr std::size_t least_of_id = 6;
constexpr std::size_t all_lines = 100'000;

struct HandoffOptions {
  std::vector<std::string> words, yes_to;
  bool json = false, full = false, each = false;
};

// What the words name: reviews by their ids, and folders, with what is in them and around them.
struct Meaning {
  std::set<std::string> reviews;
  std::vector<std::string> folders;
  bool covers(const std::string& folder) const {
    return std::ranges::any_of(folders, [&](const std::string& one) {
      const auto in = [](const std::string& path, const std::string& above) {
        return path == above || above == "/" || path.starts_with(above + "/");
      };
      return in(folder, one) || in(one, folder);
    });
  }
};

Result<Meaning> meaning_of(std::vector<std::string> words, const std::vector<review::Info>& reviews) {
  Meaning out;
  if (words.empty()) words.emplace_back(".");
  for (const std::string& word : words) {
    const auto review = std::ranges::find_if(
        reviews, [&](const review::Info& one) { return word.size() >= least_of_id && one.id.starts_with(word); });
    if (review != reviews.end()) {
      out.reviews.insert(review->id);
      continue;
    }
    auto folder = sys::real_path(word);
    if (!folder) {
      return fail("\"" + escape_for_terminal(word) +
                  "\" is no open review's id, and no folder: " + folder.error().message);
    }
    out.folders.push_back(std::move(*folder));
  }
  return out;
}

// What the command has to say, over everything it looked at.
struct Told {
  nlohmann::json reviews = nlohmann::json::array(), live = nlohmann::json::array();
  std::size_t open = 0, seen = 0;
};

class Handoff {
 public:
  Handoff(const HandoffOptions& options, const session::Paths& paths, const trust::Catalogue& catalogue,
          const YesTo& yes_to)
      : options_(options), paths_(paths), catalogue_(catalogue), yes_to_(yes_to) {
    show_ = {.most_lines = options.full ? all_lines : 200, .each = options.each || options.full};
  }

  Result<void> review(const std::string& id) {
    BH_TRY(const Meant meant, meant_review({id}, yes_to_.any()));
    BH_TRY(const review::Changes changes, review::scan(meant.review));
    BH_TRY(handoff::Gate gate, handoff::look(meant.review, changes, {}, catalogue_, paths_));
    std::vector<HeldFile> open;
    for (const handoff::GateFile* file : gate.open()) open.push_back(held_file(*file, catalogue_, meant.review));
    BH_TRY(const Word word, decide(open, yes_to_, false));
    BH_CHECK(record(
        word, {{"review", id}, {"of_session", meant.review.info().session}, {"folder", meant.review.info().folder}}));
    for (const handoff::Decision& decision : word.decisions) {
      if (decision.decision != "accepted") continue;
      std::vector<const handoff::GateFile*> files;
      for (handoff::GateFile& file : gate.files) {
        if (std::ranges::find(decision.files, &file.handed) == decision.files.end()) continue;
        files.push_back(&file);
        file.accepted = decision.by + " " + decision.pattern;
      }
      BH_CHECK(handoff::accept(meant.review, files, decision.by + " " + decision.pattern));
    }
    std::vector<HeldFile> all;
    for (const handoff::GateFile& file : gate.files) all.push_back(held_file(file, catalogue_, meant.review));
    told_.open += gate.open().size();
    told_.seen += all.size();
    idle(open);
    if (options_.json) {
      BH_TRY(nlohmann::json files, as_json(all));
      told_.reviews.push_back({{"review", to_json(meant.review.info())}, {"files", std::move(files)}});
    } else if (!all.empty()) {
      std::printf("review %s of %s, since %s: %zu held, %zu accepted; nothing of it is on the host\n", id.c_str(),
                  shown(meant.review.info().folder).c_str(), meant.review.info().started.c_str(), gate.open().size(),
                  all.size() - gate.open().size());
      return print(all);
    }
    return {};
  }

  Result<void> live(const handoff::LiveStore& store, handoff::LiveFolder folder) {
    const auto fd = sys::open(folder.project.path, O_RDONLY | O_DIRECTORY);
    const auto project = fd ? trust::Project::of(fd->get()) : tl::unexpected(fd.error());
    if (!project || project->key() != folder.project.key()) {
      complain(shown(folder.project.path) + " is not the folder any more that a session changed", 0);
      return {};
    }
    BH_TRY(const trust::Pins pins, trust::Pins::open(paths_.state, false));
    std::string problem;
    const auto pinned = pins.find(*project, problem);
    std::vector<HeldFile> files;
    std::set<std::string> settled;
    for (const handoff::LiveFile& file : folder.files) {
      const handoff::Now now = handoff::state_of(file, fd->get(), pinned ? &*pinned : nullptr);
      if (now == handoff::Now::back || now == handoff::Now::trusted) {
        settled.insert(file.handed.path);
        continue;
      }
      files.push_back(held(file, now, fd->get(), folder.project.path));
    }
    BH_TRY(const Word word, decide(files, yes_to_, false));
    idle(files);
    // That not all is known can be said yes to as well, once nothing else is left.
    const bool seen_to = files.empty() && yes_to_.any();
    if (!word.yes.empty() || seen_to) {
      // Evidence first; then they are forgotten.
      BH_CHECK(record(word, {{"of_session", folder.session}, {"folder", folder.project.path}}));
      handoff::LiveFolder left = folder;
      std::erase_if(left.files, [&](const handoff::LiveFile& file) {
        return word.yes.contains(file.handed.path) || settled.contains(file.handed.path);
      });
      if (left.files.empty()) left.more = 0;
      if (left.files.empty()) left.incomplete.clear();
      BH_CHECK(store.save(left));
      for (HeldFile& file : files) {
        if (word.yes.contains(file.handed->path)) file.accepted = "--yes-to";
      }
    }
    const auto open = static_cast<std::size_t>(
        std::ranges::count_if(files, [](const HeldFile& file) { return file.accepted.empty(); }));
    told_.open += open + (folder.incomplete.empty() || seen_to ? 0 : 1);
    told_.seen += files.size() + (folder.incomplete.empty() ? 0 : 1);
    if (options_.json) {
      BH_TRY(nlohmann::json list, as_json(files));
      told_.live.push_back({{"folder", folder.project.path},
                            {"session", folder.session},
                            {"time", folder.time},
                            {"files", std::move(list)},
                            {"more", folder.more},
                            {"incomplete", folder.incomplete}});
      return {};
    }
    if (files.empty() && folder.incomplete.empty()) return {};
    std::printf("%s, which session %s could write (ended %s): %zu to look at; the host has them already\n",
                shown(folder.project.path).c_str(), folder.session.c_str(), folder.time.c_str(), open);
    if (!folder.incomplete.empty()) {
      std::printf("  not all could be looked through: %s\n", escape_for_terminal(folder.incomplete, 300).c_str());
    }
    BH_CHECK(print(files));
    if (folder.more > 0) std::printf("  … and %zu more that are not listed\n", folder.more);
    return {};
  }

  int finish() const {
    if (options_.json) {
      print_json({{"reviews", told_.reviews}, {"live", told_.live}, {"open", told_.open}});
    } else if (told_.seen == 0) {
      std::puts("nothing waits for a word here");
    }
    if (told_.open > 0 && !options_.json) {
      complain(std::to_string(told_.open) + " wait" + (told_.open == 1 ? "s" : "") +
                   " for your word: --yes-to PATTERN (or all); in a review `bulkhead apply` asks, too",
               0);
    }
    return told_.open > 0 ? exit_held : 0;
  }

 private:
  HeldFile held(const handoff::LiveFile& file, handoff::Now now, int folder, const std::string& path) const {
    HeldFile out;
    out.handed = &file.handed;
    out.id = file.id;
    out.who = file.who;
    out.trigger = file.trigger;
    out.secret = file.secret;
    if (now == handoff::Now::changed) out.note = "somebody changed it since the session ended; it is not as said here";
    out.texts = [this, &file, folder, path]() -> Result<HeldFile::Texts> {
      HeldFile::Texts texts;
      texts.before = file.text;
      if (!texts.before && !file.handed.added) texts.before = kept_text(path, file.handed.path);
      texts.after = handoff::text_now(file, folder);
      return texts;
    };
    return out;
  }

  // The original that a mount rw-no-delete kept, of the first session that has one.
  std::optional<std::string> kept_text(const std::string& folder, const std::string& path) const {
    const auto store = session::Store::open_existing(paths_);
    const auto all = store ? keep::kept_folders(store->kept_directory()) : tl::unexpected(store.error());
    if (!all) return std::nullopt;
    for (const keep::KeptFolder& one : *all) {
      if (one.folder != folder) continue;
      const auto file =
          sys::open_at2(store->kept_directory(), one.session + "/" + one.name + "/files/" + path,
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
      const auto st = file ? sys::stat_fd(file->get(), path) : tl::unexpected(file.error());
      if (!st || !S_ISREG(st->st_mode)) continue;
      auto text = review::read_text(file->get());
      return text ? std::move(*text) : std::nullopt;
    }
    return std::nullopt;
  }

  Result<nlohmann::json> as_json(const std::vector<HeldFile>& files) const {
    nlohmann::json out = nlohmann::json::array();
    for (const HeldFile& file : files) {
      BH_TRY(nlohmann::json one, to_json(file, true));
      out.push_back(std::move(one));
    }
    return out;
  }

  Result<void> print(const std::vector<HeldFile>& files) const {
    BH_TRY(const std::string text, told(files, show_, colours_for(1)));
    std::fputs(text.c_str(), stdout);
    return {};
  }

  void idle(const std::vector<HeldFile>& files) {
    for (const std::string& pattern : yes_to_.idle(files)) {
      if (pattern != "all") complain("--yes-to " + escape_for_terminal(pattern) + ": nothing that waits here fits", 0);
    }
  }

  // Of looking there is no evidence.
  Result<void> record(const Word& word, const nlohmann::json& about) const {
    if (word.yes.empty()) return {};
    BH_TRY(review::Record record, review::Record::open(paths_));
    for (const handoff::Decision& decision : word.decisions) {
      if (decision.decision != "accepted") continue;
      nlohmann::json event = about;
      event.update(handoff::event_of(decision));
      BH_CHECK(record.say("handoff.decision", event));
    }
    return record.close();
  }

  const HandoffOptions& options_;
  const session::Paths& paths_;
  const trust::Catalogue& catalogue_;
  const YesTo& yes_to_;
  ShowOptions show_;
  Told told_;
};

Result<int> run(const HandoffOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const YesTo yes_to, YesTo::parse(options.yes_to));
  BH_TRY(const trust::Catalogue catalogue, control_files(paths));
  BH_TRY(const std::string data, data_directory());
  // Of sessions that were killed.
  for (const std::string& line : handoff::end_watches(paths, data)) complain(line, 0);
  BH_TRY(const review::Reviews reviews, review::Reviews::open_existing(paths));
  const std::vector<review::Info> open = reviews.list();
  BH_TRY(const Meaning meaning, meaning_of(options.words, open));
  Handoff handoff(options, paths, catalogue, yes_to);
  int status = 0;
  for (const review::Info& info : open) {
    if (!meaning.reviews.contains(info.id) && !meaning.covers(info.folder)) continue;
    // One that can't be looked at (its folder is gone) hides no other.
    if (auto done = handoff.review(info.id); !done) status = complain(done.error().message, exit_failed);
  }
  BH_TRY(const handoff::LiveStore store, handoff::LiveStore::open(paths, false));
  std::vector<std::string> problems;
  for (handoff::LiveFolder& folder : store.list(problems)) {
    if (!meaning.covers(folder.project.path)) continue;
    if (auto done = handoff.live(store, std::move(folder)); !done) status = complain(done.error().message, exit_failed);
  }
  for (const std::string& problem : problems) {
    status = complain(problem + "; what it named is not known any more", exit_failed);
  }
  const int held = handoff.finish();
  return status != 0 ? status : held;
}

}  // namespace

void add_handoff(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("handoff", "What sessions left that the host would run or obey");
  const auto options = std::make_shared<HandoffOptions>();
  command->add_option("words", options->words, "Reviews' ids, or folders; without: the working directory")
      ->type_name("[REVIEW|FOLDER…]");
  command
      ->add_option(
          "--yes-to", options->yes_to,
          "Say yes to files, as they are now: a pattern like package.json or .husky/**, or all; may be repeated")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command->add_flag("--full", options->full, "All of each difference, and each file");
  command->add_flag("--each", options->each, "Each file in folders of other people's packages, too");
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "Git, editors, agents, shells and builds run or obey files of a folder by themselves. What a session changed of\n"
      "them is held in a review (`bulkhead apply` asks about each), and only listed where the folder was mounted rw "
      "or\n"
      "rw-no-delete: there the host has it already. A yes is to a content: what changes is asked about again.\n\n"
      "Exit status: 0 nothing waits, 3 something does, 1 something could not be looked at.\n\n"
      "Examples:\n"
      "  bulkhead handoff\n"
      "  bulkhead handoff --yes-to package.json --yes-to 'node_modules/**'; bulkhead apply\n"
      "  bulkhead handoff --json ~/src");
  command->callback([options, &invocation] {
    options->words.insert(options->words.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    if (const auto parsed = YesTo::parse(options->yes_to); !parsed) throw usage("--yes-to: " + parsed.error().message);
    invocation.action = [options] {
      const auto status = run(*options);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
