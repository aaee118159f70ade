// bulkhead doctor: what this machine can enforce, what it can't, what that costs, what to type.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "session/state/guarantees.h"
#include "session/state/probe.h"

namespace bulkhead::cli {

namespace {

using session::Guarantee;
using session::Kind;
using session::ProbeResult;
using session::State;

struct DoctorOptions {
  bool json = false, verbose = false, markdown = false;
};

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::required:
      return "required";
    case Kind::useful:
      return "useful";
    case Kind::later:
      return "later";
  }
  return "?";
}

std::string kernel() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release;
}

// A guarantee holds as far as its probes say: the worst of them.
State state_of(const Guarantee& guarantee, const std::vector<ProbeResult>& results) {
  State worst = State::ok;
  for (const ProbeResult& r : results) {
    const auto needing = session::guarantees_needing(r.probe->id);
    if (std::ranges::find(needing, &guarantee) != needing.end()) worst = std::max(worst, r.finding.state);
  }
  return worst;
}

std::string json_text(const std::vector<ProbeResult>& results) {
  nlohmann::json probes = nlohmann::json::array(), guarantees = nlohmann::json::array();
  for (const ProbeResult& r : results) {
    nlohmann::json costs = nlohmann::json::array();
    if (r.finding.state != State::ok) {
      for (const Guarantee* g : session::guarantees_needing(r.probe->id)) costs.push_back(g->id);
    }
    probes.push_back({{"id", r.probe->id},
                      {"title", r.probe->title},
                      {"kind", name_of(r.probe->kind)},
                      {"state", session::name_of(r.finding.state)},
                      {"found", r.finding.found},
                      {"guarantees", costs},
                      {"costs", r.finding.costs},
                      {"fix", r.finding.fix}});
  }
  for (const Guarantee& g : session::guarantees()) {
    guarantees.push_back({{"id", g.id},
                          {"sentence", g.sentence},
                          {"primitive", g.primitive},
                          {"tiers", split(g.tiers, ' ')},
                          {"state", session::name_of(state_of(g, results))}});
  }
  const nlohmann::json all{{"version", BULKHEAD_VERSION}, {"kernel", kernel()},
                           {"root", ::geteuid() == 0},    {"probes", probes},
                           {"guarantees", guarantees},    {"tiers", {{"native", session::usable(results)}}}};
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  out.append(width > out.size() ? width - out.size() : 1, ' ');
  return out;
}

void print_probe(const ProbeResult& r, const Colours& c) {
  const session::Finding& f = r.finding;
  const bool quiet = r.probe->kind == Kind::later && f.state != State::ok;
  const std::string_view colour = quiet                                                          ? c.dim
                                  : f.state == State::ok                                         ? c.good
                                  : f.state == State::missing && r.probe->kind == Kind::required ? c.bad
                                                                                                 : c.warn;
  std::printf("%s%s%s%s%s\n", std::string(colour).c_str(), padded(session::name_of(f.state), 10).c_str(),
              std::string(c.off).c_str(), padded(r.probe->id, 16).c_str(),
              (std::string(r.probe->title) + ": " + escape_for_terminal(f.found)).c_str());
  if (f.state == State::ok) return;
  const std::string indent(26, ' ');
  std::vector<std::string> ids;
  for (const Guarantee* g : session::guarantees_needing(r.probe->id)) ids.emplace_back(g->id);
  std::string costs = join(ids, ", ");
  if (!f.costs.empty()) costs += (costs.empty() ? "" : "; ") + f.costs;
  if (!costs.empty()) std::printf("%scosts: %s\n", indent.c_str(), escape_for_terminal(costs).c_str());
  if (!f.fix.empty()) std::printf("%sfix:   %s\n", indent.c_str(), escape_for_terminal(f.fix).c_str());
}

void print_human(const std::vector<ProbeResult>& results, bool verbose) {
  const Colours c = colours_for(1);
  std::printf("bulkhead %s, %s%s\n\n", BULKHEAD_VERSION, escape_for_terminal(kernel()).c_str(),
              ::geteuid() == 0 ? ", as root (a session gets an unprivileged uid of its own)" : "");
  bool later = false;
  for (const ProbeResult& r : results) {
    if (r.probe->kind == Kind::later && !std::exchange(later, true)) std::puts("\nFor tiers and modes to come:");
    print_probe(r, c);
  }
  std::printf("\nGuarantees of the native tier%s\n", verbose ? ":" : " that are weaker here (--verbose shows all):");
  int weaker = 0;
  for (const Guarantee& g : session::guarantees()) {
    const State state = state_of(g, results);
    weaker += state != State::ok;
    if (!verbose && state == State::ok) continue;
    const std::string_view colour = state == State::ok ? c.good : state == State::degraded ? c.warn : c.bad;
    std::printf("  %s%s%s%s%s\n", std::string(colour).c_str(), padded(session::name_of(state), 10).c_str(),
                std::string(c.off).c_str(), padded(g.id, 16).c_str(), std::string(g.sentence).c_str());
  }
  if (weaker == 0) std::puts(verbose ? "All of them hold." : "  none: all of them hold.");
  std::puts(session::usable(results) ? "\nThe native tier works here."
                                     : "\nThe native tier can't run here: see what is required and missing above.");
}

Result<int> doctor(const DoctorOptions& options) {
  if (options.markdown) {
    std::fputs(session::guarantees_markdown().c_str(), stdout);
    return 0;
  }
  BH_TRY(const session::Paths paths, user_paths());
  const auto results = session::run_probes({paths, ::geteuid() == 0});
  if (options.json) {
    std::fputs(json_text(results).c_str(), stdout);
  } else {
    print_human(results, options.verbose);
  }
  return session::usable(results) ? 0 : exit_failed;
}

}  // namespace

void add_doctor(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("doctor", "Check what this machine can enforce");
  const auto options = std::make_shared<DoctorOptions>();
  command->add_flag("--json", options->json, "As JSON");
  command->add_flag("-v,--verbose", options->verbose, "Every guarantee, not only the weaker ones");
  command->add_flag("--guarantees-markdown", options->markdown, "docs/guarantees.md")->group("");
  command->footer(
      "Each line says what was found, which guarantees depend on it, and the command that mends it.\n"
      "Changes nothing. Exit status 1 when the native tier can't run here.");
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto status = doctor(*options);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
