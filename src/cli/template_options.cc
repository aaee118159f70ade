#include "cli/template_options.h"

#include <errno.h>

#include "base/text.h"
#include "template/template.h"

namespace bulkhead::cli {

void add_template_option(CLI::App& command, std::string& name) {
  command.add_option("--template", name, "Go on from what `bulkhead template create` saved; tier gvisor")
      ->type_name("NAME");
}

PolicyOptions for_template(const PolicyOptions& options, const std::string& name) {
  PolicyOptions out = options;
  if (!name.empty() && out.tier.empty()) out.tier = name_of(Tier::gvisor);
  return out;
}

Result<void> use_template(session::Options& session, const std::string& name) {
  if (name.empty()) return {};
  BH_CHECK(templates::check_name(name));
  if (session.policy.tier == Tier::vm) {
    return fail(
        "--template: no command can be saved on the tier vm; what `bulkhead template create --tier vm` saved is used "
        "by "
        "every session that it fits; leave --template out, or add --tier gvisor");
  }
  BH_TRY(const session::Paths paths, user_paths());
  auto store = templates::Store::open(paths.cache, false);
  if (!store && store.error().code == ENOENT) {
    return fail("there is no template \"" + name + "\"; `bulkhead template create " + name + " -- COMMAND` makes it");
  }
  if (!store) return tl::unexpected(std::move(store).error());
  BH_TRY(const templates::Entry entry, store->find(name));
  session.saved.emplace();
  session.saved->name = name;
  session.saved->image = entry.image;
  session.saved->judge = [info = entry.info](const templates::Shape& shape) { return check_shape(info, shape); };
  return {};
}

}  // namespace bulkhead::cli
