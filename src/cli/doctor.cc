// bulkhead doctor: what this machine can enforce, what it can't, what that costs, what to type.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "keep/restore.h"
#include "policy/effective.h"
#include "policy/managed_folder.h"
#include "session/state/guarantees.h"
#include "session/state/probe.h"
#include "session/state/state.h"

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
    case Kind::gvisor:
      return "gvisor";
    case Kind::vm:
      return "vm";
  }
  return "?";
}

std::string kernel() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release;
}

using Given = std::vector<session::Missing>;  // what the user's own policy gives up

// What the user's policy file costs, apart from any command. One that can't be loaded is for `policy check` to explain.
Given given_up() {
  auto request = policy_request_anywhere({}, "");
  if (!request) return {};
  const auto policy = effective_policy(*request);
  return policy ? session::missing_by_policy(*policy) : Given();
}

// What an administrator has written; an error is why no session starts.
Result<std::shared_ptr<const Managed>> managed_here() {
  BH_TRY(const PolicyRequest request, policy_request_anywhere({}, ""));
  return find_managed(request.place.home);
}

nlohmann::json managed_json(const Result<std::shared_ptr<const Managed>>& managed) {
  if (!managed) return {{"ok", false}, {"error", managed.error().message}};
  nlohmann::json files = nlohmann::json::array();
  if (*managed) {
    for (const ManagedFile& file : (*managed)->files) files.push_back({{"file", file.file}, {"sha256", file.sha256}});
  }
  return {{"ok", true}, {"files", files}};
}

void print_managed(const Result<std::shared_ptr<const Managed>>& managed, const Colours& c) {
  if (!managed) {
    std::printf("\n%sNo session starts:%s %s\n", std::string(c.bad).c_str(), std::string(c.off).c_str(),
                managed.error().message.c_str());
  } else if (*managed) {
    std::puts("\nManaged (`bulkhead policy show` lists the rules):");
    for (const ManagedFile& file : (*managed)->files) {
      std::printf("  %s%s\n", escape_for_terminal(file.file).c_str(),
                  file.organisation.empty() ? "" : (", " + escape_for_terminal(file.organisation, 200)).c_str());
    }
  }
}

// A guarantee holds as far as its probes say: the worst of them; and as the policy lets it.
State state_of(const Guarantee& guarantee, const std::vector<ProbeResult>& results, const Given& given) {
  State worst = State::ok;
  if (std::ranges::find(given, guarantee.id, &session::Missing::guarantee) != given.end()) worst = State::missing;
  for (const ProbeResult& r : results) {
    const auto needing = session::guarantees_needing(r.probe->id);
    if (std::ranges::find(needing, &guarantee) != needing.end()) worst = std::max(worst, r.finding.state);
  }
  return worst;
}

bool tier_works(Kind kind, const std::vector<ProbeResult>& results) {
  return session::usable(results) && std::ranges::none_of(results, [&](const ProbeResult& r) {
           return r.probe->kind == kind && r.finding.state == State::missing;
         });
}

// Which of native's guarantees it does not give.
std::string lacks(Tier tier) {
  std::vector<std::string> ids;
  for (const Guarantee& g : session::guarantees()) {
    if (session::holds_on(g, Tier::native) && !session::holds_on(g, tier)) ids.emplace_back(g.id);
  }
  return join(ids, ", ");
}

void print_tier(Tier tier, bool works) {
  if (works) {
    std::printf("The tier %s can be used; it does not give: %s.\n", name_of(tier), lacks(tier).c_str());
  } else {
    std::printf("The tier %s can't be used here.\n", name_of(tier));
  }
}

nlohmann::json to_json(const std::vector<ProbeResult>& results, const Given& given) {
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
                          {"state", session::name_of(state_of(g, results, given))}});
  }
  const nlohmann::json all{{"version", BULKHEAD_VERSION},
                           {"kernel", kernel()},
                           {"root", ::geteuid() == 0},
                           {"probes", probes},
                           {"guarantees", guarantees},
                           {"tiers",
                            {{"native", session::usable(results)},
                             {"gvisor", tier_works(Kind::gvisor, results)},
                             {"vm", tier_works(Kind::vm, results)}}}};
  return all;
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  out.append(width > out.size() ? width - out.size() : 1, ' ');
  return out;
}

void print_probe(const ProbeResult& r, const Colours& c) {
  const session::Finding& f = r.finding;
  const bool other = r.probe->kind == Kind::gvisor || r.probe->kind == Kind::vm;
  const bool quiet = other && f.state != State::ok;
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

void print_human(const std::vector<ProbeResult>& results, const Given& given, bool verbose) {
  const Colours c = colours_for(1);
  std::printf("bulkhead %s, %s%s\n\n", BULKHEAD_VERSION, escape_for_terminal(kernel()).c_str(),
              ::geteuid() == 0 ? ", as root (a session gets an unprivileged uid of its own)" : "");
  bool gvisor = false, vm = false;
  for (const ProbeResult& r : results) {
    if (r.probe->kind == Kind::gvisor && !std::exchange(gvisor, true)) std::puts("\nFor the tier gvisor:");
    if (r.probe->kind == Kind::vm && !std::exchange(vm, true)) std::puts("\nFor the tier vm:");
    print_probe(r, c);
  }
  std::printf("\nGuarantees of the native tier%s\n", verbose ? ":" : " that are weaker here (--verbose shows all):");
  int weaker = 0;
  for (const Guarantee& g : session::guarantees()) {
    if (!session::holds_on(g, Tier::native)) continue;
    const State state = state_of(g, results, given);
    weaker += state != State::ok;
    if (!verbose && state == State::ok) continue;
    const std::string_view colour = state == State::ok ? c.good : state == State::degraded ? c.warn : c.bad;
    std::printf("  %s%s%s%s%s\n", std::string(colour).c_str(), padded(session::name_of(state), 10).c_str(),
                std::string(c.off).c_str(), padded(g.id, 16).c_str(), std::string(g.sentence).c_str());
  }
  for (const session::Missing& one : given) {
    std::printf("Given up by your own policy (%s): %s\n", one.guarantee.c_str(), one.what.c_str());
  }
  if (weaker == 0) std::puts(verbose ? "All of them hold." : "  none: all of them hold.");
  std::puts(session::usable(results) ? "\nThe native tier works here."
                                     : "\nThe native tier can't run here: see what is required and missing above.");
  print_tier(Tier::gvisor, tier_works(Kind::gvisor, results));
  print_tier(Tier::vm, tier_works(Kind::vm, results));
}

// What sessions kept of rw-no-delete folders, until somebody forgets it.
struct Kept {
  std::size_t sessions = 0;
  std::uint64_t bytes = 0;
  std::string oldest;  // when that session began
};

Kept kept_here(const session::Paths& paths) {
  Kept out;
  const auto store = session::Store::open_existing(paths);
  const auto folders = store ? keep::kept_folders(store->kept_directory()) : tl::unexpected(store.error());
  if (!folders || folders->empty()) return out;
  out.oldest = folders->front().started;
  std::set<std::string> sessions;
  for (const keep::KeptFolder& one : *folders) sessions.insert(one.session);
  out.sessions = sessions.size();
  for (const std::string& one : sessions) out.bytes += keep::kept_bytes(store->kept_directory(), one).value_or(0);
  return out;
}

void print_kept(const Kept& kept) {
  if (kept.sessions == 0) return;
  std::printf(
      "\n%zu session%s kept originals (rw-no-delete), the first on %s: %llu MB. `bulkhead restore --forget "
      "--older-than 30d`\nthrows away what is older than that.\n",
      kept.sessions, kept.sessions == 1 ? "" : "s", escape_for_terminal(kept.oldest.substr(0, 10)).c_str(),
      static_cast<unsigned long long>((kept.bytes + 999'999) / 1'000'000));
}

Result<int> doctor(const DoctorOptions& options) {
  if (options.markdown) {
    std::fputs(session::guarantees_markdown().c_str(), stdout);
    return 0;
  }
  BH_TRY(const session::Paths paths, user_paths());
  const auto results = session::run_probes({paths, ::geteuid() == 0});
  const Given given = given_up();
  const auto managed = managed_here();
  if (options.json) {
    nlohmann::json all = to_json(results, given);
    all["managed"] = managed_json(managed);
    const Kept kept = kept_here(paths);
    all["kept"] = {{"sessions", kept.sessions}, {"bytes", kept.bytes}, {"oldest", kept.oldest}};
    print_json(all);
  } else {
    print_human(results, given, options.verbose);
    print_managed(managed, colours_for(1));
    print_kept(kept_here(paths));
  }
  return session::usable(results) && managed ? 0 : exit_failed;
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
      "Changes nothing. Exit status 1 when the native tier can't run here, or a managed policy stops it.");
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto status = doctor(*options);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
