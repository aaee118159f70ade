#include "cli/held.h"

#include <errno.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/text.h"
#include "base/text_diff.h"
#include "handoff/items.h"
#include "trust/trust.h"

namespace bulkhead::cli {
namespace {

using Clock = std::chrono::steady_clock;
using trust::Fingerprint;

constexpr std::size_t named_of_packages = 8;
constexpr DiffLimits limits{.most = std::size_t{8} << 20, .patience = std::chrono::seconds(10)};

std::vector<const trust::Handed*> handed_of(const std::vector<HeldFile>& files) {
  std::vector<const trust::Handed*> out;
  for (const HeldFile& file : files) out.push_back(file.handed);
  return out;
}

// The difference in lines, or why there is none.
Result<std::vector<std::string>> difference(const HeldFile& file, std::string& why) {
  std::vector<std::string> none;
  const trust::Handed& handed = *file.handed;
  if (file.secret) {
    why = "it may hold keys, so its lines are not shown";
    return none;
  }
  if (handed.removed || handed.after.kind != Fingerprint::Kind::file) return none;
  BH_TRY(const HeldFile::Texts texts, file.texts());
  if (!texts.after) {
    why = "it is no text, or too long to be shown";
    return none;
  }
  if (!texts.before && !handed.added) why = "what it was is not known any more; all of it:";
  auto lines = unified_diff(texts.before.value_or(""), *texts.after, limits);
  if (!lines) {
    why = "no difference can be shown: " + lines.error().message;
    return none;
  }
  return lines;
}

Result<std::string> one_told(const HeldFile& file, const ShowOptions& options, const Colours& c) {
  const trust::Handed& handed = *file.handed;
  std::string out = "  " + std::string(handed.problem.empty() ? c.warn : c.bad) +
                    escape_for_terminal(handed.path, 4096) + std::string(c.off);
  if (handed.after.kind == Fingerprint::Kind::link) out += " -> " + escape_for_terminal(handed.after.target, 300);
  if (handed.after.executable) out += " (executable)";
  out += "  [" + class_and_who(file) + "] " + handoff::change_of(handed);
  if (!file.accepted.empty()) out += ", accepted (" + escape_for_terminal(file.accepted, 200) + ")";
  out += "\n    when: " + escape_for_terminal(file.trigger, 300) + "\n";
  for (const std::string& line : handed.does) out += "    - " + shown_line(line, 500) + "\n";
  if (!file.note.empty()) out += "    " + escape_for_terminal(file.note, 500) + "\n";
  if (!handed.problem.empty()) {
    out += "    can't be accepted as it is: " + escape_for_terminal(handed.problem, 300) + "\n";
  }
  const bool was = handed.before.kind == Fingerprint::Kind::file, is = handed.after.kind == Fingerprint::Kind::file;
  if (was && is && handed.before.executable != handed.after.executable) {
    out += std::string("    it ") + (handed.after.executable ? "can be executed now" : "can't be executed any more") +
           "\n";
  }
  std::string why;
  BH_TRY(const std::vector<std::string> lines, difference(file, why));
  if (!why.empty()) out += "      (" + escape_for_terminal(why, 300) + ")\n";
  return out + text_block(join(lines, "\n"), options.most_lines, c, true);
}

// A folder of packages: how many of which class, and those that act by themselves by name.
std::string packages_told(const handoff::Item& item, const std::vector<HeldFile>& files, const Colours& c) {
  std::string out = "  " + std::string(c.warn) + escape_for_terminal(item.name, 4096) + "/" + std::string(c.off) +
                    "  " + std::to_string(item.files.size()) + " files of other people's packages: ";
  std::vector<std::string> parts;
  for (const trust::Class kind : {trust::Class::runs, trust::Class::instructs, trust::Class::build}) {
    const auto n = std::ranges::count_if(item.files, [&](std::size_t i) { return files[i].handed->kind == kind; });
    if (n > 0) parts.push_back(std::to_string(n) + " " + trust::name_of(kind));
  }
  out += join(parts, ", ") + "\n";
  for (std::size_t i = 0; i < item.files.size() && i < named_of_packages; ++i) {
    const HeldFile& file = files[item.files[i]];
    out += "    " + escape_for_terminal(file.handed->path, 300) + " [" + class_and_who(file) + "] " +
           handoff::change_of(*file.handed);
    if (!file.handed->does.empty()) out += ": " + shown_line(file.handed->does.front(), 200);
    out += "\n";
  }
  if (item.files.size() > named_of_packages) {
    out += "    … and " + std::to_string(item.files.size() - named_of_packages) +
           " more (bulkhead handoff --each shows each of them)\n";
  }
  return out;
}

Result<std::string> item_told(const handoff::Item& item, const std::vector<HeldFile>& files, const ShowOptions& options,
                              const Colours& c) {
  if (item.packages && !options.each) return packages_told(item, files, c);
  std::string out;
  for (const std::size_t i : item.files) {
    BH_TRY(const std::string one, one_told(files[i], options, c));
    out += one;
  }
  return out;
}

enum class Answer { yes, no, all, quit };

// A whole line, typed after the question was there. Nothing but a plain yes is one.
Answer asked(const std::string& question) {
  ::tcflush(0, TCIFLUSH);
  std::fprintf(stderr, "%s", question.c_str());
  std::fflush(stderr);
  std::string line;
  for (;;) {
    char c = 0;
    const ssize_t n = ::read(0, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Answer::quit;
    if (c == '\n') break;
    if (line.size() < 16) line += c;
  }
  if (line == "y" || line == "yes") return Answer::yes;
  if (line == "a" || line == "all") return Answer::all;
  if (line == "q" || line == "quit") return Answer::quit;
  return Answer::no;
}

void take(Word& word, handoff::Decision decision) {
  if (decision.files.empty()) return;
  if (decision.decision == "accepted") {
    for (const trust::Handed* one : decision.files) word.yes.insert(one->path);
  }
  word.decisions.push_back(std::move(decision));
}

std::string plural(std::size_t n) {
  return std::to_string(n) + (n == 1 ? " file" : " files");
}

// Item by item. What is accepted was shown.
Result<void> ask_person(const std::vector<HeldFile>& files, Word& word) {
  const Colours c = colours_for(2);
  const std::vector<handoff::Item> items = handoff::items_of(handed_of(files));
  std::fprintf(stderr, "%s the host would run or obey; nothing of it is there yet.\n", plural(files.size()).c_str());
  bool all = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    BH_TRY(const std::string text, item_told(items[i], files, {}, c));
    std::fprintf(stderr, "\n[%zu/%zu]\n%s", i + 1, items.size(), text.c_str());
    handoff::Decision decision;
    decision.by = "terminal";
    for (const std::size_t n : items[i].files) decision.files.push_back(files[n].handed);
    const Clock::time_point since = Clock::now();
    const Answer answer = all ? Answer::all
                              : asked("Let " + std::string(items[i].files.size() == 1 ? "it" : "them") +
                                      " onto the host? [y]es, [N]o (held), [a]ll from here on, [q]uit: ");
    decision.ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since).count();
    if (answer == Answer::quit) {
      word.quit = true;
      return {};
    }
    all = all || answer == Answer::all;
    decision.decision = answer == Answer::no ? "refused" : "accepted";
    take(word, std::move(decision));
  }
  return {};
}

}  // namespace

Result<trust::Catalogue> control_files(const session::Paths& paths) {
  BH_TRY(const std::string data, data_directory());
  return trust::load_catalogue(data, paths.config);
}

HeldFile held_file(const handoff::GateFile& file, const trust::Catalogue& catalogue, const review::Review& review) {
  const trust::Rule& rule = catalogue.rule(file.handed.rule);
  HeldFile out;
  out.handed = &file.handed;
  out.id = rule.id;
  out.who = rule.who;
  out.trigger = rule.trigger;
  out.secret = rule.secret;
  out.accepted = file.accepted;
  out.texts = [&review, handed = &file.handed]() -> Result<HeldFile::Texts> {
    HeldFile::Texts texts;
    BH_TRY(texts.before, handoff::text_of(review, *handed, trust::Trees::Side::before));
    BH_TRY(texts.after, handoff::text_of(review, *handed, trust::Trees::Side::after));
    return texts;
  };
  return out;
}

std::string class_and_who(const HeldFile& file) {
  return std::string(trust::name_of(file.handed->kind)) + "; " + escape_for_terminal(file.who, 200);
}

Result<std::string> told(const std::vector<HeldFile>& files, const ShowOptions& options, const Colours& colours) {
  std::string out;
  for (const handoff::Item& item : handoff::items_of(handed_of(files))) {
    BH_TRY(const std::string one, item_told(item, files, options, colours));
    out += one;
  }
  return out;
}

Result<nlohmann::json> to_json(const HeldFile& file, bool diff) {
  const trust::Handed& handed = *file.handed;
  nlohmann::json out{{"path", handed.path},
                     {"class", trust::name_of(handed.kind)},
                     {"kind", file.id},
                     {"who", file.who},
                     {"when", file.trigger},
                     {"change", handoff::change_of(handed)},
                     {"does", handed.does},
                     {"executable", handed.after.executable},
                     {"sha256", handed.after.sha256},
                     {"accepted", !file.accepted.empty()},
                     {"problem", handed.problem}};
  if (!valid_utf8(handed.path)) out["path_hex"] = hex(handed.path);
  if (handed.after.kind == Fingerprint::Kind::link) out["link"] = handed.after.target;
  if (!file.accepted.empty()) out["by"] = file.accepted;
  if (!file.note.empty()) out["note"] = file.note;
  if (!handed.packages.empty()) out["packages"] = handed.packages;
  if (!diff) return out;
  std::string why;
  BH_TRY(const std::vector<std::string> lines, difference(file, why));
  out["diff"] = join(lines, "\n");
  return out;
}

Result<YesTo> YesTo::parse(const std::vector<std::string>& patterns) {
  YesTo out;
  for (const std::string& text : patterns) {
    One one{text, std::nullopt};
    if (text != "all") {
      BH_TRY(one.pattern, trust::Pattern::parse(text));
    }
    out.patterns_.push_back(std::move(one));
  }
  return out;
}

bool YesTo::fits(const One& one, const std::string& path) {
  if (!one.pattern) return true;
  trust::Matcher matcher;
  matcher.add(*one.pattern, 0);
  return !matcher.match_path(path).empty();
}

std::string YesTo::match(const std::string& path) const {
  const auto found = std::ranges::find_if(patterns_, [&](const One& one) { return fits(one, path); });
  return found == patterns_.end() ? "" : found->text;
}

std::vector<std::string> YesTo::idle(const std::vector<HeldFile>& files) const {
  std::vector<std::string> out;
  for (const One& one : patterns_) {
    if (std::ranges::none_of(files, [&](const HeldFile& file) { return fits(one, file.handed->path); })) {
      out.push_back(one.text);
    }
  }
  return out;
}

Result<Word> decide(const std::vector<HeldFile>& files, const YesTo& yes_to, bool ask) {
  Word word;
  std::vector<HeldFile> left;
  handoff::Decision held;
  held.decision = "held";
  held.by = "nobody";
  std::vector<handoff::Decision> accepted;
  for (const HeldFile& file : files) {
    const std::string pattern = file.handed->problem.empty() ? yes_to.match(file.handed->path) : "";
    if (!file.handed->problem.empty()) {
      held.files.push_back(file.handed);
    } else if (pattern.empty()) {
      left.push_back(file);
    } else {
      const auto same = std::ranges::find(accepted, pattern, &handoff::Decision::pattern);
      if (same != accepted.end()) {
        same->files.push_back(file.handed);
      } else {
        accepted.push_back({"accepted", "--yes-to", pattern, 0, {file.handed}});
      }
    }
  }
  for (handoff::Decision& one : accepted) take(word, std::move(one));
  if (ask && !left.empty()) {
    BH_CHECK(ask_person(left, word));
  } else {
    for (const HeldFile& file : left) held.files.push_back(file.handed);
  }
  take(word, std::move(held));
  return word;
}

}  // namespace bulkhead::cli
