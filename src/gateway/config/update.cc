#include "gateway/update.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "policy/json.h"
#include "policy/within.h"

namespace bulkhead {

using nlohmann::json;

namespace {

constexpr Gone all_reasons[] = {Gone::revoked, Gone::changed, Gone::closed};

Result<WithdrawnGrant> withdrawn_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"grant", "gone"}, "a withdrawn grant"));
  WithdrawnGrant out;
  BH_TRY(const json* grant, json_read::object(object, "grant"));
  BH_TRY(out.grant, grant_from(*grant));
  BH_TRY(const std::string word, json_read::string(object, "gone"));
  for (const Gone gone : all_reasons) {
    if (word != name_of(gone)) continue;
    out.gone = gone;
    return out;
  }
  return fail("a grant gone for an unknown reason");
}

}  // namespace

const char* name_of(Gone gone) {
  switch (gone) {
    case Gone::revoked:
      return "revoked";
    case Gone::changed:
      return "changed";
    case Gone::closed:
      return "closed";
  }
  return "?";
}

const char* text_of(Gone gone) {
  switch (gone) {
    case Gone::revoked:
      return "its grant was revoked; no line of policy brings it back, only a new session has it again";
    case Gone::changed:
      return "the session's policy was loaded again and no longer allows it";
    case Gone::closed:
      return "the session's policy could not be loaded again, so every grant is closed until `bulkhead reload` can";
  }
  return "?";
}

json to_json(const GrantsUpdate& update) {
  json grants = json::array(), withdrawn = json::array();
  for (const Grant& grant : update.grants) grants.push_back(to_json(grant));
  for (const WithdrawnGrant& one : update.withdrawn) {
    withdrawn.push_back({{"grant", to_json(one.grant)}, {"gone", name_of(one.gone)}});
  }
  json object{{"type", "grants"},
              {"number", update.number},
              {"grants", std::move(grants)},
              {"withdrawn", std::move(withdrawn)},
              {"forget", update.forget}};
  if (object.dump(-1, ' ', true, json::error_handler_t::replace).size() > ipc::max_message) {
    object["withdrawn"] = json::array();
  }
  return object;
}

Result<GrantsUpdate> grants_update_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "number", "grants", "withdrawn", "forget"}, "an update"));
  BH_TRY(const std::string type, json_read::string(object, "type"));
  if (type != "grants") return fail("a message that is no update");
  GrantsUpdate update;
  BH_TRY(update.number, json_read::number(object, "number"));
  BH_TRY(const json* grants, json_read::array(object, "grants"));
  for (const json& one : *grants) {
    BH_TRY(Grant grant, grant_from(one));
    update.grants.push_back(std::move(grant));
  }
  BH_TRY(const json* withdrawn, json_read::array(object, "withdrawn"));
  for (const json& one : *withdrawn) {
    BH_TRY(WithdrawnGrant grant, withdrawn_from(one));
    update.withdrawn.push_back(std::move(grant));
  }
  BH_TRY(update.forget, json_read::boolean(object, "forget"));
  return update;
}

bool still_holds(const std::vector<Grant>& now, const Grant& grant, const Rule* rule) {
  const auto same = std::ranges::find(now, grant.id, &Grant::id);
  if (same == now.end() || same->port != grant.port || same->protocol != grant.protocol ||
      same->credential != grant.credential || same->address != grant.address ||
      !within(grant.response, same->response)) {
    return false;
  }
  const auto host_is = [&](const std::string& host) { return within(host, same->hosts); };
  if (!std::ranges::all_of(grant.hosts, host_is)) return false;
  return rule == nullptr || std::ranges::any_of(same->allow, [&](const Rule& one) { return within(*rule, one); });
}

Gone why_gone(const GrantsUpdate& update, const std::string& id) {
  for (const WithdrawnGrant& one : update.withdrawn) {
    if (one.grant.id == id) return one.gone;
  }
  return Gone::changed;
}

}  // namespace bulkhead
