// bulkhead diff: what a workload changed in mode review, before the host has seen any of it.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sys.h"
#include "base/text.h"
#include "base/text_diff.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/held.h"
#include "cli/kept.h"
#include "cli/reviews.h"
#include "review/content.h"
#include "review/tree.h"

namespace bulkhead::cli {

namespace {

using review::Change;
using review::Kind;

struct DiffOptions {
  std::vector<std::string> words;
  bool stat = false, json = false, list = false;
};

constexpr std::size_t max_line = 4096;  // of one line of a text that is shown
constexpr DiffLimits limits{.most = std::size_t{8} << 20, .patience = std::chrono::seconds(10)};

struct Sides {
  review::Tree host, upper;
};

// A line of somebody else's text. A tab is no danger, and without tabs a Makefile reads badly.
std::string safe_line(const std::string& line) {
  std::vector<std::string> parts;
  for (const std::string& part : split(line, '\t')) parts.push_back(escape_for_terminal(part, max_line));
  return join(parts, "\t");
}

// The two sides of a text, or why there is nothing to show line by line.
struct Texts {
  std::string before, after;
  std::string why;
};

Texts texts_of(const Change& change, const Sides& sides) {
  Texts texts;
  const auto open = [&](const review::Tree& tree, const std::string& path, const std::optional<struct stat>& st,
                        std::string& into) {
    if (!st) return;
    if (!S_ISREG(st->st_mode)) {
      texts.why = described(*st);
      return;
    }
    const auto file = tree.file(path);
    auto text = file ? review::read_text(file->get()) : fail("");
    if (!text) {
      texts.why = "can't be read";
    } else if (!*text) {
      texts.why = static_cast<std::uint64_t>(st->st_size) > review::max_text ? "large" : "binary";
    } else {
      into = std::move(**text);
    }
  };
  open(sides.host, change.path, change.before, texts.before);
  open(sides.upper, change.path, change.after, texts.after);
  return texts;
}

std::string mode_text(const struct stat& st) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(st.st_mode & 07777));
  return text;
}

std::string link_text(const review::Tree& tree, const std::string& path) {
  const auto to = tree.link(path);
  return to ? " -> " + shown(*to) : "";
}

// What the change is, on one line.
std::string headline(const Change& change, const Sides& sides) {
  std::string line;
  switch (change.kind) {
    case Kind::removed:
      line = "removed  " + shown(change.path);
      if (!change.renamed.empty()) return line + ", now " + shown(change.renamed);
      return line + " (" + described(*change.before) + ")";
    case Kind::added:
      line = "added    " + shown(change.path);
      if (!change.renamed.empty()) return line + ", was " + shown(change.renamed);
      if (!change.after) return line;
      if (S_ISLNK(change.after->st_mode)) return line + link_text(sides.upper, change.path);
      line += " (" + described(*change.after);
      if (S_ISREG(change.after->st_mode) && (change.after->st_mode & 0111) != 0) line += ", executable";
      return line + ")";
    case Kind::changed:
    case Kind::touched:
      break;
  }
  line = std::string(change.kind == Kind::changed ? "changed  " : "touched  ") + shown(change.path);
  const struct stat &a = *change.before, &b = *change.after;
  if (S_ISLNK(a.st_mode)) line += link_text(sides.host, change.path);
  if ((a.st_mode & S_IFMT) != (b.st_mode & S_IFMT)) line += ", was a " + described(a) + ", is a " + described(b);
  if (S_ISLNK(b.st_mode)) return line + (S_ISLNK(a.st_mode) ? ", now" : "") + link_text(sides.upper, change.path);
  if ((a.st_mode & 07777) != (b.st_mode & 07777)) line += ", mode " + mode_text(a) + " -> " + mode_text(b);
  return line;
}

struct Counted {
  std::size_t plus = 0, minus = 0;
};

Counted count_lines(const std::vector<std::string>& lines) {
  Counted counted;
  for (const std::string& line : lines) {
    counted.plus += line.starts_with('+');
    counted.minus += line.starts_with('-');
  }
  return counted;
}

void print_lines(const std::vector<std::string>& lines, const Colours& c) {
  for (const std::string& line : lines) {
    const std::string_view colour = line.starts_with('+')    ? c.good
                                    : line.starts_with('-')  ? c.bad
                                    : line.starts_with("@@") ? c.dim
                                                             : std::string_view();
    std::printf("%s%s%s\n", std::string(colour).c_str(), safe_line(line).c_str(),
                colour.empty() ? "" : std::string(c.off).c_str());
  }
}

// Removals first: they are what can't be got back by looking at what is there. A renamed file is one of them.
int rank(const Change& change) {
  if (change.kind == Kind::removed) return change.renamed.empty() ? 0 : 1;
  if (change.kind == Kind::changed) return 2;
  return change.kind == Kind::added ? 3 : 4;
}

// That the host would run or obey it: what `apply` asks about.
void print_mark(const HeldFile& file, bool stat, const Colours& c) {
  const std::string_view colour = file.accepted.empty() ? c.bad : c.dim;
  std::printf("  %s%s [%s]%s", std::string(colour).c_str(), file.accepted.empty() ? "held" : "accepted",
              class_and_who(file).c_str(), std::string(c.off).c_str());
  std::printf(" %s\n", escape_for_terminal(file.trigger, 300).c_str());
  if (stat) return;
  for (const std::string& line : file.handed->does) std::printf("    - %s\n", shown_line(line, 500).c_str());
}

void print_change(const Change& change, const HeldFile* held, const Sides& sides, bool stat, const Colours& c) {
  const std::string_view colour = change.kind == Kind::removed ? c.bad : change.kind == Kind::added ? c.good : c.warn;
  std::string tail;
  std::vector<std::string> lines;
  const bool text_wanted = change.content && change.kind != Kind::removed && change.renamed.empty() &&
                           change.refused.empty() && change.after && S_ISREG(change.after->st_mode);
  if (text_wanted) {
    const Texts texts = texts_of(change, sides);
    if (texts.why.empty()) {
      auto made = unified_diff(texts.before, texts.after, limits);
      if (made) {
        lines = std::move(*made);
        const Counted n = count_lines(lines);
        tail = "  +" + std::to_string(n.plus) + " -" + std::to_string(n.minus);
      } else {
        tail = "  (" + made.error().message + ")";
      }
    } else {
      tail = "  (" + texts.why;
      if (change.before && S_ISREG(change.before->st_mode)) {
        tail += ", " + described(*change.before) + " -> " + described(*change.after);
      }
      tail += ")";
    }
  }
  std::printf("%s%s%s%s\n", std::string(colour).c_str(), headline(change, sides).c_str(), std::string(c.off).c_str(),
              tail.c_str());
  if (const std::string why = reason_of(change); !why.empty()) {
    std::printf("         %s%s%s\n", std::string(c.bad).c_str(), escape_for_terminal(why).c_str(),
                std::string(c.off).c_str());
  }
  if (!change.note.empty()) std::printf("         %s\n", change.note.c_str());
  if (held != nullptr) print_mark(*held, stat, c);
  if (!stat) print_lines(lines, c);
}

Result<void> list_reviews(bool json) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const review::Reviews reviews, review::Reviews::open_existing(paths));
  nlohmann::json all = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows{{"REVIEW", "STARTED", "CHANGES", "FOLDER", "COMMAND"}};
  for (const review::Info& info : reviews.list()) {
    BH_TRY(const review::Review review, reviews.open(info.id, true));
    const bool in_use = !review.locked();
    const auto changes = review::scan(review);
    const std::string what = changes ? counted(pointers(*changes)) : escape_for_terminal(changes.error().message, 200);
    nlohmann::json one = to_json(info);
    one["in_use"] = in_use;
    if (changes) one["changes"] = changes->list.size();
    all.push_back(std::move(one));
    rows.push_back({info.id, info.started, what + (in_use ? " (running)" : ""), escape_for_terminal(info.folder),
                    command_line(info.command, 60)});
  }
  if (json) {
    print_json(all);
  } else if (rows.size() == 1) {
    std::puts("no open reviews");
  } else {
    std::fputs(table(rows).c_str(), stdout);
  }
  return {};
}

Result<void> diff(const DiffOptions& options) {
  if (options.list) return list_reviews(options.json);
  auto open = meant_review(options.words, false);
  if (!open) {
    // A folder that was written at once has no review; what stood there before may be kept.
    const auto kept = list_kept(options.words, options.json);
    return kept && *kept ? Result<void>() : tl::unexpected(std::move(open).error());
  }
  const Meant meant = std::move(*open);
  BH_TRY(const review::Changes changes, review::scan(meant.review));
  std::vector<const Change*> wanted;
  for (const Change& change : changes.list) {
    const bool inside = meant.paths.empty() || std::ranges::any_of(meant.paths, [&](const std::string& p) {
                          return review::at_or_below(change.path, p);
                        });
    if (inside) wanted.push_back(&change);
  }
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const trust::Catalogue catalogue, control_files(paths));
  BH_TRY(const handoff::Gate gate, handoff::look(meant.review, changes, meant.paths, catalogue, paths));
  std::map<std::string, HeldFile> held;
  for (const handoff::GateFile& file : gate.files) {
    held.emplace(file.handed.path, held_file(file, catalogue, meant.review));
  }
  if (options.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Change* change : wanted) {
      list.push_back(to_json(*change));
      const auto file = held.find(change->path);
      if (file == held.end()) continue;
      BH_TRY(list.back()["handoff"], to_json(file->second, false));
    }
    print_json({{"review", to_json(meant.review.info())}, {"changes", list}});
    return {};
  }
  std::ranges::sort(wanted, {}, [](const Change* c) { return std::make_pair(rank(*c), std::string_view(c->path)); });
  BH_TRY(UniqueFd host, meant.review.open_folder());
  BH_TRY(UniqueFd upper, meant.review.open_upper());
  const Sides sides{review::Tree(std::move(host)), review::Tree(std::move(upper))};
  const Colours c = colours_for(1);
  const review::Info& info = meant.review.info();
  std::printf("%sreview %s of %s, since %s: %s%s\n", std::string(c.dim).c_str(), info.id.c_str(),
              shown(info.folder).c_str(), info.started.c_str(), counted(wanted).c_str(), std::string(c.off).c_str());
  bool conflict = false;
  for (const Change* change : wanted) {
    conflict = conflict || !change->conflict.empty();
    // Only its time: nobody reads a list of those.
    if (change->kind != Kind::touched || !reason_of(*change).empty()) {
      const auto file = held.find(change->path);
      print_change(*change, file == held.end() ? nullptr : &file->second, sides, options.stat, c);
    }
  }
  const std::size_t held_back = gate.open().size();
  if (held_back > 0) {
    complain(std::to_string(held_back) + (held_back == 1 ? " of them is a file" : " of them are files") +
                 " the host would run or obey: `bulkhead apply` holds " + (held_back == 1 ? "it" : "them") +
                 " until you say yes",
             0);
  }
  if (conflict) {
    std::fprintf(stderr,
                 "bulkhead: what is in conflict is never applied; the workload's version is below %s/layers/upper\n",
                 escape_for_terminal(meant.review.path()).c_str());
  }
  return {};
}

}  // namespace

void add_diff(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("diff", "What a session changed in mode review, or what rw-no-delete kept");
  const auto options = std::make_shared<DiffOptions>();
  command->add_option("words", options->words, "A review's id, and paths in it; without: the review of this folder")
      ->type_name("[REVIEW] [PATH…]");
  command->add_flag("--stat", options->stat, "One line for each change, without the texts");
  command->add_flag("--list", options->list, "All open reviews");
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "In mode review the host's folder stays as it was; `apply` brings the changes to it, `discard` forgets them.\n"
      "Removed files come first, then changed and added ones. Names and texts are escaped. What the host would run\n"
      "or obey is marked, with what it does; `apply` asks about it.\n"
      "In a folder that a session had rw-no-delete: what was kept of it, as `restore --list` shows it.\n\n"
      "Examples:\n"
      "  bulkhead run --mount .:review -- make format; bulkhead diff\n"
      "  bulkhead diff --stat\n"
      "  bulkhead diff src/ | less -R");
  command->callback([options, &invocation] {
    options->words.insert(options->words.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    if (options->list && !options->words.empty()) throw usage("--list is of all reviews");
    invocation.action = [options] {
      const auto done = diff(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
