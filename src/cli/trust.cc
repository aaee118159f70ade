// bulkhead trust: what a project's control files would do, and the user's word that they may.
#include "trust/trust.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/text_diff.h"
#include "cli/commands.h"
#include "cli/common.h"

namespace bulkhead::cli {

namespace {

using trust::Verdict;

constexpr const char* examples =
    R"(Control files make git, editors, agents and shells run something, or obey it, when a folder is opened. What they
say is trusted by its content: a file that changes, or appears, is asked about again.

Examples:
  bulkhead trust                what this project's control files would do, and the question
  bulkhead trust --show ../new  look only: exit status 1 while something there is not trusted
  bulkhead trust --full         with everything that is in them
  bulkhead trust --yes          for scripts: trusts what is there now
  bulkhead trust --list; bulkhead trust --revoke ../old

The list of control files: /usr/share/bulkhead/control, more in ~/.config/bulkhead/control (docs/trust.md).)";

struct TrustOptions {
  std::string path = ".";
  bool yes = false, show = false, list = false, revoke = false, json = false, all = false, full = false;
};

struct Opened {
  UniqueFd folder;
  trust::Project project;  // as it is, nothing pinned
};

Result<Opened> open_project(const std::string& path) {
  Opened out;
  BH_TRY(out.folder, sys::open(path, O_RDONLY | O_DIRECTORY));
  BH_TRY(out.project, trust::Project::of(out.folder.get()));
  return out;
}

std::string heading(const Verdict::Item& item, const trust::Rule& rule, const Colours& colours) {
  std::string out = "  ";
  out += item.why.empty() ? colours.good : item.can_be_trusted ? colours.warn : colours.bad;
  out += escape_for_terminal(item.control.path, 300);
  out += colours.off;
  if (item.control.content.kind == trust::Content::Kind::link) {
    out += " -> " + escape_for_terminal(item.control.content.target, 200);
  }
  out += item.control.content.executable ? " (executable)" : "";
  out += "  [" + std::string(trust::name_of(item.control.kind)) + "; " + rule.who + "] ";
  out += item.why.empty() ? "trusted" : item.can_be_trusted ? item.why : "can't be trusted";
  return out + "\n";
}

std::string described(const Verdict::Item& item, const trust::Rule& rule, bool full, const Colours& colours) {
  std::string out = heading(item, rule, colours);
  if (!item.why.empty()) out += "    when: " + escape_for_terminal(rule.trigger, 300) + "\n";
  if (item.why.empty() && !full) return out;
  for (const std::string& line : item.control.does) out += "    - " + shown_line(line, 500) + "\n";
  const std::size_t most = full ? 100'000 : 40;
  if (item.why == "changed" && item.before != nullptr) {
    const trust::Content& now = item.control.content;
    if (item.before->executable != now.executable) {
      out += std::string("    it ") + (now.executable ? "can be executed now" : "can't be executed any more") + "\n";
    }
    if (item.before->target != now.target) {
      out += "    it led to \"" + escape_for_terminal(item.before->target, 200) + "\" when it was trusted\n";
    }
    if (item.before->sha256 != now.sha256 && item.before->text && !rule.secret) {
      const auto diff = unified_diff(*item.before->text, now.bytes);
      out += "    since it was trusted:\n";
      out +=
          diff ? text_block(join(*diff, "\n"), most, colours, true) : "      (no diff: " + diff.error().message + ")\n";
    } else if (item.before->sha256 != now.sha256) {
      out +=
          "    its content has changed; what it was is not kept (a large file, no text, or one that may hold keys)\n";
    }
  }
  if (full && !rule.secret && item.can_be_trusted) {
    out += "    all of it:\n" + text_block(item.control.content.bytes, most, colours, false);
  }
  return out;
}

nlohmann::json to_json(const Verdict::Item& item, const trust::Rule& rule) {
  return {{"path", item.control.path},
          {"class", trust::name_of(item.control.kind)},
          {"kind", rule.id},
          {"who", rule.who},
          {"when", rule.trigger},
          {"does", item.control.does},
          {"link", item.control.content.target},
          {"executable", item.control.content.executable},
          {"sha256", item.control.content.sha256},
          {"trusted", item.why.empty()},
          {"why", item.why},
          {"can_be_trusted", item.can_be_trusted},
          {"dependency", item.control.dependency}};
}

// What of the verdict is shown and asked about.
bool asked_about(const Verdict::Item& item, const TrustOptions& options) {
  return options.all || !item.control.dependency;
}

struct Counts {
  std::size_t open = 0, never = 0, hidden = 0;
};

Counts count(const Verdict& verdict, const TrustOptions& options) {
  Counts out;
  for (const Verdict::Item& item : verdict.items) {
    if (item.why.empty()) continue;
    if (!asked_about(item, options)) {
      ++out.hidden;
    } else if (item.can_be_trusted) {
      ++out.open;
    } else {
      ++out.never;
    }
  }
  return out;
}

std::string report(const Verdict& verdict, const trust::Catalogue& catalogue, const std::string& path,
                   const TrustOptions& options) {
  const Colours colours = colours_for(1);
  std::string out = escape_for_terminal(path, 300) + "\n";
  for (const Verdict::Item& item : verdict.items) {
    if (asked_about(item, options)) {
      out += described(item, catalogue.rule(item.control.rule), options.full, colours);
    }
  }
  for (const trust::Unseen& one : verdict.unseen) {
    out += "  " + std::string(colours.bad) + escape_for_terminal(one.path, 300) + std::string(colours.off) +
           "  not looked at: " + escape_for_terminal(one.why, 300) + "\n";
  }
  const Counts counts = count(verdict, options);
  if (counts.hidden > 0) {
    out +=
        "  " + std::to_string(counts.hidden) + " more in folders of other people's packages: not asked about (--all)\n";
  }
  if (verdict.build_inputs > 0) {
    out += "  " + std::to_string(verdict.build_inputs) +
           " build inputs (package.json, Makefile…) run when you build; no session is kept from seeing them\n";
  }
  return out;
}

// Asked of whoever sits at the terminal.
bool confirmed(const std::string& question) {
  if (::isatty(0) != 1 || ::isatty(1) != 1) return false;
  std::fflush(stdout);
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  char answer[16] = "";
  const ssize_t n = ::read(0, answer, sizeof answer - 1);
  return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

// Exactly what was judged and shown: the bytes in memory, not what the names hold by now.
trust::Project pinned_now(const Verdict& verdict, const trust::Catalogue& catalogue, trust::Project project,
                          const TrustOptions& options) {
  project.trusted = session::rfc3339_now();
  for (const Verdict::Item& item : verdict.items) {
    if (!item.can_be_trusted || (!item.why.empty() && !asked_about(item, options))) continue;
    project.pin(item.control, !catalogue.rule(item.control.rule).secret);
  }
  return project;
}

Result<int> trust_project(const TrustOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const std::string data, data_directory());
  BH_TRY(const trust::Catalogue catalogue, trust::load_catalogue(data, paths.config));
  BH_TRY(const Opened opened, open_project(options.path));
  BH_TRY(const trust::Pins pins, trust::Pins::open(paths.state, false));
  std::string problem;
  const auto known = pins.find(opened.project, problem);
  if (!problem.empty()) complain(problem, 0);
  BH_TRY(const Verdict verdict, trust::judge_project(opened.folder.get(), catalogue, known ? &*known : nullptr));
  const Counts counts = count(verdict, options);
  const bool whole = !verdict.incomplete();
  if (!options.json) {
    std::fputs(
        verdict.anything() || counts.open > 0 ? report(verdict, catalogue, opened.project.path, options).c_str() : "",
        stdout);
  }
  bool trusted = whole && counts.open == 0;
  bool given = false;
  if (!trusted && whole && !options.show) {
    const std::string question = "Trust " + std::to_string(counts.open) + " control file" +
                                 (counts.open == 1 ? "" : "s") + " of this project, as " +
                                 (counts.open == 1 ? "it is" : "they are") + " now?";
    if (options.yes || (!options.json && confirmed(question))) {
      BH_TRY(const trust::Pins writable, trust::Pins::open(paths.state, true));
      BH_CHECK(writable.save(pinned_now(verdict, catalogue, opened.project, options)));
      trusted = given = true;
    }
  }
  trusted = trusted && counts.never == 0;
  if (options.json) {
    nlohmann::json items = nlohmann::json::array(), unseen = nlohmann::json::array();
    for (const Verdict::Item& item : verdict.items) {
      items.push_back(to_json(item, catalogue.rule(item.control.rule)));
      if (given && item.can_be_trusted && asked_about(item, options)) items.back()["trusted"] = true;
    }
    for (const trust::Unseen& one : verdict.unseen) unseen.push_back({{"path", one.path}, {"why", one.why}});
    print_json({{"path", opened.project.path},
                {"trusted", trusted},
                {"files", items},
                {"not_looked_at", unseen},
                {"build_inputs", verdict.build_inputs}});
    return trusted ? 0 : exit_failed;
  }
  if (!whole) return complain("nothing here can be trusted while not all of it can be looked at", exit_failed);
  if (given) std::printf("trusted, as they are now: %zu\n", counts.open);
  if (counts.never > 0) {
    return complain(std::to_string(counts.never) + " can't be trusted as " +
                        (counts.never == 1 ? "it is" : "they are") + ": mend or remove " +
                        (counts.never == 1 ? "it" : "them"),
                    exit_failed);
  }
  if (trusted && !given) std::puts(verdict.anything() ? "everything here is trusted" : "nothing here to trust");
  if (trusted) return 0;
  if (options.show) return exit_failed;
  return complain(
      std::to_string(counts.open) + " not trusted" +
          (::isatty(0) == 1 && ::isatty(1) == 1 ? "" : ": there is no terminal to ask at (--yes is the answer)"),
      exit_failed);
}

Result<int> list_projects(const TrustOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const trust::Pins pins, trust::Pins::open(paths.state, false));
  std::vector<std::string> problems;
  const std::vector<trust::Project> projects = pins.list(problems);
  if (options.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const trust::Project& one : projects) {
      nlohmann::json files = nlohmann::json::array();
      for (const auto& [path, pinned] : one.files) files.push_back({{"path", path}, {"sha256", pinned.sha256}});
      all.push_back({{"path", one.path}, {"trusted", one.trusted}, {"files", files}});
    }
    print_json(all);
  } else {
    std::vector<std::vector<std::string>> rows = {{"TRUSTED", "FILES", "PROJECT"}};
    for (const trust::Project& one : projects) {
      rows.push_back(
          {escape_for_terminal(one.trusted, 30), std::to_string(one.files.size()), escape_for_terminal(one.path)});
    }
    std::fputs(table(rows).c_str(), stdout);
  }
  for (const std::string& problem : problems) complain(problem + "; it counts for nothing", 0);
  return problems.empty() ? 0 : exit_failed;
}

// A project that is gone can be named by the path it had.
Result<int> revoke(const TrustOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const trust::Pins pins, trust::Pins::open(paths.state, false));
  std::vector<std::string> problems;
  std::string path = options.path;
  if (const auto real = sys::real_path(options.path); real) path = *real;
  std::size_t removed = 0;
  for (const trust::Project& one : pins.list(problems)) {
    if (one.path != path) continue;
    BH_TRY(const bool gone, pins.remove(one.key()));
    removed += gone ? 1 : 0;
  }
  if (removed == 0) return complain("nothing is trusted in " + escape_for_terminal(path), exit_failed);
  std::printf("not trusted any more: %s\n", escape_for_terminal(path).c_str());
  return 0;
}

}  // namespace

void add_trust(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("trust", "Show what a project's control files would do, and trust them");
  const auto options = std::make_shared<TrustOptions>();
  command->add_option("PATH", options->path, "The project's folder (this one)")->type_name("");
  command->add_flag("-y,--yes", options->yes, "Trust what is there now, without asking");
  command->add_flag("--show", options->show, "Only look: exit status 1 while something is not trusted");
  command->add_flag("--full", options->full, "Everything that is in them, not only what they would do");
  command->add_flag("--all", options->all, "Also those in folders of other people's packages (node_modules…)");
  command->add_flag("--list", options->list, "The projects you trusted");
  command->add_flag("--revoke", options->revoke, "Trust nothing of this project any more");
  command->add_flag("--json", options->json, "As JSON; asks nothing");
  command->footer(examples);
  command->callback([options, &invocation] {
    if (static_cast<int>(options->list) + static_cast<int>(options->revoke) +
            static_cast<int>(options->show || options->yes) >
        1) {
      throw usage("--list, --revoke and --show or --yes exclude each other");
    }
    if (options->show && options->yes) throw usage("--show and --yes exclude each other");
    invocation.action = [options] {
      const auto status = options->list     ? list_projects(*options)
                          : options->revoke ? revoke(*options)
                                            : trust_project(*options);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
