// bulkhead policy check: would these files be accepted, and what do they open that they may not be meant to?
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "advice/lint.h"
#include "advice/lint_managed.h"
#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/image_line.h"
#include "cli/policy_commands.h"
#include "policy/managed_folder.h"
#include "policy/toml.h"

namespace bulkhead::cli {

namespace {

struct CheckOptions {
  std::vector<std::string> files;
  bool strict = false, json = false, managed = false;
};

struct Checked {
  std::string file;
  Policy policy;
  std::string image;  // a line about it, or empty
  std::vector<advice::Finding> findings;
  std::size_t count(advice::Severity severity) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(findings, [&](const advice::Finding& f) { return f.severity == severity; }));
  }
};

// `name`: as errors and `--json` call it.
Result<Checked> check(const std::string& file, std::string& name) {
  PolicyOptions options;
  options.policy = file;
  BH_TRY(const PolicyRequest request, policy_request_anywhere(options, ""));
  name = file.empty() ? request.user_file : file;
  Checked checked;
  checked.file = name;
  BH_TRY(checked.policy, effective_policy(request));
  checked.findings = advice::lint(checked.policy, request.place);
  checked.image = image_line(checked.policy, request);
  return checked;
}

std::string number_of(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

void print(const Checked& checked, bool rules) {
  for (const advice::Finding& finding : checked.findings) std::fputs(finding_line(finding).c_str(), stdout);
  if (rules) {
    std::printf("%s: ok: managed, over every policy here\n", escape_for_terminal(checked.file).c_str());
    return;
  }
  const std::size_t warnings = checked.count(advice::Severity::warning), notes = checked.count(advice::Severity::note);
  const Policy& policy = checked.policy;
  std::printf("%s: ok: %s, %s, %s%s%s\n", escape_for_terminal(checked.file).c_str(),
              number_of(policy.mounts.size(), "mount").c_str(), number_of(policy.grants.size(), "grant").c_str(),
              number_of(policy.credentials.size(), "credential").c_str(),
              warnings > 0 ? (", " + number_of(warnings, "warning")).c_str() : "",
              notes > 0 ? (", " + number_of(notes, "note")).c_str() : "");
  if (!checked.image.empty()) std::printf("%s: %s\n", escape_for_terminal(checked.file).c_str(), checked.image.c_str());
}

nlohmann::json to_json(const Checked& checked) {
  nlohmann::json findings = nlohmann::json::array();
  for (const advice::Finding& finding : checked.findings) findings.push_back(advice::to_json(finding));
  nlohmann::json out = {{"file", checked.file}, {"ok", true}, {"findings", findings}};
  if (!checked.image.empty()) out["image"] = checked.image;
  return out;
}

// What is to become a managed policy, and not whose it is.
Result<Checked> check_rules(const std::string& file) {
  Checked checked;
  checked.file = file;
  BH_TRY(const std::string text, sys::read_file(file, max_toml_bytes));
  BH_TRY(const ManagedFile rules, load_managed(text, file));
  BH_TRY(const std::string data, data_directory());
  checked.findings = advice::lint(rules, data);
  return checked;
}

class Report {
 public:
  explicit Report(const CheckOptions& options) : options_(options) {}

  void refused(const std::string& name, const std::string& error) {
    status_ = exit_failed;
    if (options_.json) {
      report_.push_back({{"file", name}, {"ok", false}, {"error", error}});
    } else {
      std::fflush(stdout);
      complain(error, exit_failed);
    }
  }
  void accepted(const Checked& checked, bool rules) {
    if (options_.strict && checked.count(advice::Severity::warning) > 0) status_ = exit_failed;
    if (options_.json) {
      report_.push_back(to_json(checked));
      if (rules) report_.back()["managed"] = true;
    } else {
      print(checked, rules);
    }
  }
  int end() {
    if (options_.json) print_json(report_);
    return status_;
  }

 private:
  const CheckOptions& options_;
  nlohmann::json report_ = nlohmann::json::array();
  int status_ = 0;
};

// What holds on this machine, whatever is checked.
void check_machine(Report& report) {
  const auto request = policy_request_anywhere({}, "");
  const auto managed = find_managed(request ? request->place.home : "");
  if (!managed) return report.refused(managed_folder, managed.error().message);
  if (!*managed || !request) return;
  for (const ManagedFile& rules : (*managed)->files) {
    Checked checked;
    checked.file = rules.file;
    checked.findings = advice::lint(rules, request->data_dir);
    report.accepted(checked, true);
  }
}

int check_all(const CheckOptions& options) {
  Report report(options);
  if (options.managed) {
    for (const std::string& file : options.files) {
      const auto checked = check_rules(file);
      if (checked) {
        report.accepted(*checked, true);
      } else {
        report.refused(file, checked.error().message);
      }
    }
    return report.end();
  }
  check_machine(report);
  std::vector<std::string> all = options.files;
  if (all.empty()) all.emplace_back();  // the user's own
  for (const std::string& file : all) {
    std::string name = file;
    const auto checked = check(file, name);
    if (checked) {
      report.accepted(*checked, false);
    } else {
      report.refused(name, checked.error().message);
    }
  }
  return report.end();
}

}  // namespace

void add_policy_check(CLI::App& policy, Invocation& invocation) {
  CLI::App* command = policy.add_subcommand("check", "Check policy files, and say what opens more than it seems to");
  const auto options = std::make_shared<CheckOptions>();
  command->add_option("FILE", options->files, "Files; without any, your own policy")->type_name("");
  command->add_flag("--strict", options->strict, "Exit status 1 for warnings too");
  command->add_flag("--managed", options->managed,
                    "FILEs are managed policies (docs/managed.md), before they are put in place");
  command->add_flag("--json", options->json, "As a JSON array");
  command->footer(
      "A line for each finding: FILE:LINE, `warning` or `note`, what it opens, how to write it, and its [name].\n"
      "Exit status 0: each file would be accepted. 1: one would not (the first thing wrong in it is printed with its\n"
      "line), or --strict and a warning. Managed policies of this machine are looked at as well.\n\nExamples:\n"
      "  bulkhead policy check ci.toml\n  bulkhead policy check --managed 10-company.toml");
  command->callback([options, &invocation] {
    if (options->managed && options->files.empty()) throw usage("--managed needs a FILE");
    invocation.action = [options] { return check_all(*options); };
  });
}

}  // namespace bulkhead::cli
