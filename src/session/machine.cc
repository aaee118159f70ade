#include "session/machine.h"

#include <errno.h>

#include <functional>
#include <string_view>

#include "base/text.h"
#include "template/template.h"

namespace bulkhead::session {
namespace {

// nullopt: nobody saved one.
Result<std::optional<Saved>> find(const Paths& paths, const tier::Isolation& isolation, const tier::Plan& plan,
                                  const std::string& name) {
  const auto nothing = [](const Error& error) -> Result<std::optional<Saved>> {
    if (error.code == ENOENT) return std::nullopt;
    return tl::unexpected(error);
  };
  const auto store = templates::Store::open(paths.cache, false);
  if (!store) return nothing(store.error());
  auto entry = store->look(name);
  if (!entry) return nothing(entry.error());
  BH_TRY(const auto shape, isolation.shape(plan));
  BH_CHECK(check_shape(entry->info, shape));
  return Saved{name, std::move(entry->image), false, std::move(entry->digests), {}};
}

std::vector<std::string> take_lines(std::string& said, const std::function<bool(std::string_view)>& ours) {
  std::vector<std::string> out;
  std::string rest;
  for (std::size_t at = 0; at < said.size();) {
    const std::size_t end = std::min(said.find('\n', at), said.size());
    std::string line = said.substr(at, end - at);
    if (ours(line)) {
      out.push_back(std::move(line));
    } else {
      rest += line + "\n";
    }
    at = end + 1;
  }
  said = std::move(rest);
  return out;
}

}  // namespace

std::optional<Saved> saved_machine(const Paths& paths, const tier::Isolation& isolation, Planned& planned) {
  const std::string name = isolation.saved_name(planned.plan);
  if (name.empty()) return std::nullopt;
  auto found = find(paths, isolation, planned.plan, name);
  if (found) return std::move(*found);
  planned.notes.push_back("the machine boots: " + found.error().message);
  return std::nullopt;
}

std::vector<std::string> take_notes(std::string& said) {
  std::vector<std::string> out =
      take_lines(said, [](std::string_view line) { return line.starts_with(tier::note_mark); });
  for (std::string& line : out) line = escape_for_terminal(line.substr(std::string_view(tier::note_mark).size()), 600);
  return out;
}

bool take_went_on(std::string& said) {
  return !take_lines(said, [](std::string_view line) { return line == tier::went_on_line; }).empty();
}

}  // namespace bulkhead::session
