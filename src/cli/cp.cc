// bulkhead cp: files into a session that lives, and out of it.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/session_control.h"
#include "policy/policy.h"
#include "policy/units.h"
#include "session/copy.h"

namespace bulkhead::cli {
namespace {

constexpr const char* examples = R"(One of the two is ID:PATH. What is there already on the host is not overwritten.

Examples:
  bulkhead cp data.csv k3x:/tmp/
  bulkhead cp k3x:/tmp/plot.png .
  bulkhead cp --max-size 100MB k3x:/tmp/results results-of-today)";

struct CpOptions {
  std::string from, to, max_size = "10GB";
  bool json = false;
};

struct Place {
  std::string session, path;  // session empty: the host
};

// As scp has it: a word without a slash before the first colon is a session's.
Place place_of(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos || colon == 0 || word.find('/') < colon) return {"", word};
  return {word.substr(0, colon), word.substr(colon + 1)};
}

Result<void> cp(const CpOptions& options) {
  const Place from = place_of(options.from), to = place_of(options.to);
  if (from.session.empty() == to.session.empty()) {
    return fail("one of the two is a session's: ID:PATH (a file of the host's with a colon: ./NAME)");
  }
  BH_TRY(const std::uint64_t most, parse_size(options.max_size));
  BH_TRY(SessionControl control, SessionControl::open(from.session.empty() ? to.session : from.session));
  const session::SessionInfo& info = control.session();
  if (!info.lives)
    return fail("session " + info.id + " runs one command; `bulkhead start` makes sessions that take more");
  const session::CopySession session{[&info]() -> Result<UniqueFd> {
                                       BH_TRY(SessionControl another, SessionControl::open(info.id));
                                       return another.take();
                                     },
                                     info.tier != name_of(Tier::native)};
  auto copied = from.session.empty() ? session::copy_in(session, from.path, to.path)
                                     : session::copy_out(session, from.path, to.path, most);
  if (!copied) return tl::unexpected(std::move(copied).error());
  if (options.json) {
    nlohmann::json out{{"session", info.id}, {"path", copied->path}};
    if (!from.session.empty()) {
      out["files"] = copied->files;
      out["bytes"] = copied->bytes;
      out["left_out"] = copied->left_out;
    }
    print_json(out);
  } else if (copied->left_out > 0) {
    complain("left out: " + std::to_string(copied->left_out) + " (links that lead elsewhere, devices, FIFOs, sockets)",
             0);
  }
  return {};
}

}  // namespace

void add_cp(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("cp", "Copy files into a session that lives, or out of it");
  const auto options = std::make_shared<CpOptions>();
  command->add_option("SOURCE", options->from, "PATH, or ID:PATH")->required()->type_name("");
  command->add_option("DESTINATION", options->to, "PATH, or ID:PATH; into it, if it is a folder")
      ->required()
      ->type_name("");
  command->add_option("--max-size", options->max_size, "Out of a session: at most so much")->type_name("SIZE");
  command->add_flag("--json", options->json, "Say what was copied as a JSON object");
  command->footer(examples);
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto done = cp(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli
