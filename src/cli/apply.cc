// bulkhead apply, bulkhead discard: what becomes of the changes of mode review.
#include "review/apply.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/held.h"
#include "cli/reviews.h"
#include "handoff/items.h"
#include "review/record.h"

namespace bulkhead::cli {

namespace {

using review::Change;

struct ApplyOptions {
  std::vector<std::string> words, yes_to;
  bool no_deletes = false, skip_conflicts = false, json = false;
};

struct DiscardOptions {
  std::vector<std::string> words;
  bool yes = false;
};

constexpr std::size_t shown_paths = 20;
constexpr std::size_t recorded_paths = 200;  // an event has 63 KiB
constexpr std::size_t recorded_length = 250;

bool on_a_terminal() {
  return ::isatty(0) == 1 && ::isatty(2) == 1;
}

bool agreed(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) answer += static_cast<char>(c);
  return answer == "y" || answer == "yes";
}

void list(const char* title, const std::vector<const Change*>& changes) {
  if (changes.empty()) return;
  std::fprintf(stderr, "%s\n", title);
  for (std::size_t i = 0; i < changes.size() && i < shown_paths; ++i) {
    std::fprintf(stderr, "  %s %s: %s\n", review::name_of(changes[i]->kind), shown(changes[i]->path).c_str(),
                 escape_for_terminal(reason_of(*changes[i])).c_str());
  }
  if (changes.size() > shown_paths) std::fprintf(stderr, "  … and %zu more\n", changes.size() - shown_paths);
}

nlohmann::json recorded(const std::vector<const Change*>& changes) {
  nlohmann::json out = nlohmann::json::array();
  for (std::size_t i = 0; i < changes.size() && i < recorded_paths; ++i) {
    out.push_back(std::string(review::name_of(changes[i]->kind)) + " " +
                  review::encode_path(changes[i]->path).substr(0, recorded_length));
  }
  return out;
}

nlohmann::json event_of(const review::Info& info) {
  return {{"review", info.id}, {"of_session", info.session}, {"folder", info.folder}};
}

void list_held(const std::vector<const HeldFile*>& held, const review::Info& info) {
  if (held.empty()) return;
  std::fputs("held, because the host would run or obey it and nobody has said yes:\n", stderr);
  for (std::size_t i = 0; i < held.size() && i < shown_paths; ++i) {
    const trust::Handed& one = *held[i]->handed;
    std::fprintf(stderr, "  %s %s [%s]%s\n", handoff::change_of(one), shown(one.path).c_str(),
                 class_and_who(*held[i]).c_str(),
                 one.does.empty() ? "" : (": " + shown_line(one.does.front(), 200)).c_str());
  }
  if (held.size() > shown_paths) std::fprintf(stderr, "  … and %zu more\n", held.size() - shown_paths);
  complain(std::to_string(held.size()) + (held.size() == 1 ? " file is" : " files are") + " held in review " + info.id +
               ": `bulkhead handoff " + info.id + "` shows " + (held.size() == 1 ? "it" : "them") +
               "; `bulkhead apply " + info.id + "` asks at a terminal, --yes-to PATTERN is the answer elsewhere",
           0);
}

Result<void> print_result(const ApplyOptions& options, const review::Info& info, const review::Chosen& chosen,
                          const std::vector<const HeldFile*>& held, bool open) {
  if (options.json) {
    nlohmann::json waiting = nlohmann::json::array();
    for (const HeldFile* file : held) {
      BH_TRY(nlohmann::json one, to_json(*file, false));
      waiting.push_back(std::move(one));
    }
    const auto paths = [](const std::vector<const Change*>& changes) {
      nlohmann::json out = nlohmann::json::array();
      for (const Change* change : changes) out.push_back(to_json(*change));
      return out;
    };
    print_json({{"review", to_json(info)},
                {"applied", paths(chosen.take)},
                {"conflicts", paths(chosen.conflicts)},
                {"refused", paths(chosen.refused)},
                {"left", paths(chosen.left)},
                {"held", std::move(waiting)},
                {"open", open}});
    return {};
  }
  std::printf("applied to %s: %s\n", shown(info.folder).c_str(), counted(chosen.take).c_str());
  for (const Change* change : chosen.take) {
    if (!change->note.empty()) std::printf("  %s %s\n", shown(change->path).c_str(), change->note.c_str());
  }
  if (open) std::printf("the rest stays in review %s: bulkhead diff, apply or discard\n", info.id.c_str());
  return {};
}

// What of the gate's could come to the host now, and nobody has said yes to.
std::vector<HeldFile> undecided(const handoff::Gate& gate, const review::Chosen& possible,
                                const trust::Catalogue& catalogue, const review::Review& review) {
  std::set<std::string> paths;
  for (const Change* change : possible.take) paths.insert(change->path);
  std::vector<HeldFile> out;
  for (const handoff::GateFile* file : gate.open()) {
    if (paths.contains(file->handed.path)) out.push_back(held_file(*file, catalogue, review));
  }
  return out;
}

// The words are evidence before they count, and kept with the review before anything is done: whoever is killed in
// between has said them all the same.
Result<void> keep_word(const Word& word, const handoff::Gate& gate, const review::Review& review,
                       review::Record& record) {
  for (const handoff::Decision& decision : word.decisions) {
    nlohmann::json event = event_of(review.info());
    event.update(handoff::event_of(decision));
    BH_CHECK(record.say("handoff.decision", event));
  }
  for (const handoff::Decision& decision : word.decisions) {
    if (decision.decision != "accepted") continue;
    const std::set<const trust::Handed*> said(decision.files.begin(), decision.files.end());
    std::vector<const handoff::GateFile*> files;
    for (const handoff::GateFile& file : gate.files) {
      if (said.contains(&file.handed)) files.push_back(&file);
    }
    BH_CHECK(
        handoff::accept(review, files, decision.pattern.empty() ? decision.by : decision.by + " " + decision.pattern));
  }
  return {};
}

Result<int> apply(const ApplyOptions& options) {
  BH_TRY(Meant meant, meant_review(options.words, true));
  const review::Info info = meant.review.info();
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const YesTo yes_to, YesTo::parse(options.yes_to));
  BH_TRY(const trust::Catalogue catalogue, control_files(paths));
  BH_TRY(const review::Changes changes, review::scan(meant.review));
  BH_TRY(const handoff::Gate gate, handoff::look(meant.review, changes, meant.paths, catalogue, paths));
  review::Wanted wanted{.paths = meant.paths, .deletes = !options.no_deletes};
  BH_TRY(const review::Chosen possible, review::choose(changes, wanted));
  list("not applied, because of what it is:", possible.refused);
  list("not applied, because the host's has changed meanwhile:", possible.conflicts);
  const bool ask = on_a_terminal() && !options.json;
  if (!possible.conflicts.empty() && !options.skip_conflicts) {
    if (!ask || possible.take.empty() || !agreed("Apply the rest (" + counted(possible.take) + ")?")) {
      return fail("nothing was applied; --skip-conflicts applies the rest");
    }
  }
  if (possible.take.empty() && (!possible.conflicts.empty() || !possible.refused.empty())) {
    return fail("there is nothing that could be applied; bulkhead discard " + info.id + " closes the review");
  }
  if (possible.take.empty() && !possible.left.empty()) return fail("there is nothing to apply but what was left out");

  const std::vector<HeldFile> files = undecided(gate, possible, catalogue, meant.review);
  BH_TRY(const Word word, decide(files, yes_to, ask));
  if (word.quit) return fail("nothing was applied");
  for (const std::string& pattern : yes_to.idle(files)) {
    complain("--yes-to " + escape_for_terminal(pattern) + ": nothing that waits for a word fits", 0);
  }
  for (const handoff::GateFile* file : gate.open()) {
    if (!word.yes.contains(file->handed.path)) wanted.held.insert(file->handed.path);
  }
  BH_TRY(const review::Chosen chosen, review::choose(changes, wanted));
  std::vector<const HeldFile*> held;
  for (const HeldFile& file : files) {
    if (wanted.held.contains(file.handed->path)) held.push_back(&file);
  }
  BH_TRY(review::Record record, review::Record::open(paths));
  BH_CHECK(keep_word(word, gate, meant.review, record));
  list_held(held, info);
  if (chosen.take.empty() && !held.empty()) {
    BH_CHECK(record.close());
    if (options.json) BH_CHECK(print_result(options, info, chosen, held, true));
    return exit_held;
  }
  nlohmann::json event = event_of(info);
  event["changes"] = recorded(chosen.take);
  event["count"] = chosen.take.size();
  event["conflicts"] = recorded(chosen.conflicts);
  const auto ready = [&]() -> Result<void> {
    event["result"] = "begun";
    return record.say("review.apply", event);
  };
  auto done = review::apply(meant.review, chosen, gate.judged, ready);
  nlohmann::json end = event_of(info);
  end["result"] = done ? "done" : "failed";
  if (!done) end["why"] = done.error().message;
  auto recorded_end = record.say("review.apply", end);
  if (recorded_end) recorded_end = record.close();
  if (!done) return tl::unexpected(std::move(done).error());
  BH_TRY(const review::Reviews reviews, review::Reviews::open_existing(paths));
  BH_CHECK(print_result(options, info, chosen, held, reviews.open(info.id, false).has_value()));
  if (!recorded_end) return tl::unexpected(std::move(recorded_end).error().with("it is applied, but"));
  return held.empty() ? 0 : exit_held;
}

Result<int> discard(const DiscardOptions& options) {
  if (options.words.size() > 1) return fail("say one review, or none in its folder");
  BH_TRY(Meant meant, meant_review(options.words, true));
  if (!meant.paths.empty()) return fail("a review is discarded as a whole");
  const review::Info info = meant.review.info();
  // A folder that is gone can't be compared with; its review can be thrown away all the same.
  const auto changes = review::scan(meant.review);
  const std::string what = changes ? counted(pointers(*changes)) : "unknown changes";
  if (!options.yes) {
    if (!on_a_terminal()) return fail("discarding is for good (" + what + "); say --yes");
    if (!agreed("Discard review " + info.id + " of " + shown(info.folder) + " for good (" + what + ")?")) {
      return fail("nothing was discarded");
    }
  }
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(review::Record record, review::Record::open(paths));
  nlohmann::json event = event_of(info);
  if (changes) {
    event["changes"] = recorded(pointers(*changes));
    event["count"] = changes->list.size();
  }
  BH_CHECK(record.say("review.discard", event));
  BH_CHECK(meant.review.erase());
  std::printf("discarded review %s: %s\n", info.id.c_str(), what.c_str());
  BH_CHECK(record.close());
  return 0;
}

int answer(const Result<int>& status) {
  return status ? *status : complain(status.error().message, exit_failed);
}

}  // namespace

void add_apply(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("apply", "Bring the changes of mode review to the host");
  const auto options = std::make_shared<ApplyOptions>();
  command->add_option("words", options->words, "A review's id, and the paths to apply; without paths: everything")
      ->type_name("[REVIEW] [PATH…]");
  command->add_flag("--no-deletes", options->no_deletes, "Remove nothing on the host");
  command->add_flag("--skip-conflicts", options->skip_conflicts, "Apply the rest when some is in conflict");
  command
      ->add_option("--yes-to", options->yes_to,
                   "Let files onto the host that it would run or obey: a pattern like package.json or .husky/**, or "
                   "all; may be repeated")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "All or nothing: if one change can't be made, or power fails, everything is as before or as after.\n"
      "What the host's git, editor, agent, shell or build would run or obey is shown and asked about. Without a\n"
      "terminal it is held: the rest is applied, and the exit status is 3. What was shown is what is applied.\n"
      "A file that changed on the host since is a conflict: shown, never overwritten. Sockets, FIFOs and devices\n"
      "don't come along, nor do set-user-ID bits.\n\n"
      "Examples:\n"
      "  bulkhead apply                    what this folder's review holds\n"
      "  bulkhead apply src/ README.md     a part; the rest stays in the review\n"
      "  bulkhead apply --no-deletes\n"
      "  bulkhead apply --yes-to package.json --yes-to 'node_modules/**'");
  command->callback([options, &invocation] {
    if (const auto parsed = YesTo::parse(options->yes_to); !parsed) throw usage("--yes-to: " + parsed.error().message);
    options->words.insert(options->words.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    invocation.action = [options] { return answer(apply(*options)); };
  });
}

void add_discard(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("discard", "Forget the changes of mode review");
  const auto options = std::make_shared<DiscardOptions>();
  command->add_option("words", options->words, "The review's id; without: the review of this folder")
      ->type_name("[REVIEW]");
  command->add_flag("-y,--yes", options->yes, "Don't ask");
  command->footer("For good: what the session wrote in that folder is gone. The host's files stay as they are.");
  command->callback([options, &invocation] { invocation.action = [options] { return answer(discard(*options)); }; });
}

}  // namespace bulkhead::cli
