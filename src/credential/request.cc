#include "credential/request.h"

#include <nlohmann/json.hpp>

#include "policy/json.h"

namespace bulkhead {

using nlohmann::json;

namespace {

constexpr Credential::Source all_sources[] = {Credential::Source::env, Credential::Source::file,
                                              Credential::Source::command, Credential::Source::secret_service,
                                              Credential::Source::systemd_creds};

Result<Credential> credential_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"name", "source", "value", "carrier", "optional", "recipients"}, "a credential"));
  Credential credential;
  BH_TRY(credential.name, json_read::string(object, "name"));
  BH_TRY(credential.source_value, json_read::string(object, "value"));
  BH_TRY(credential.carrier, carrier_from(object, "carrier"));
  BH_TRY(credential.optional, json_read::boolean(object, "optional"));
  BH_TRY(const std::string source, json_read::string(object, "source"));
  for (const Credential::Source one : all_sources) {
    if (source != name_of(one)) continue;
    credential.source = one;
    return credential;
  }
  return fail("a credential with an unknown source");
}

Result<ReadResult> result_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"name", "error", "missing", "notes"}, "a result"));
  ReadResult result;
  BH_TRY(result.name, json_read::string(object, "name"));
  BH_TRY(result.error, json_read::string(object, "error"));
  BH_TRY(result.missing, json_read::boolean(object, "missing"));
  BH_TRY(result.notes, json_read::strings(object, "notes"));
  return result;
}

}  // namespace

json to_json(const ReadRequest& request) {
  json credentials = json::array();
  for (std::size_t i = 0; i < request.credentials.size(); ++i) {
    const Credential& one = request.credentials[i];
    credentials.push_back({{"name", one.name},
                           {"source", name_of(one.source)},
                           {"value", one.source_value},
                           {"carrier", name_of(one.carrier)},
                           {"optional", one.optional},
                           {"recipients", request.recipients.at(i)}});
  }
  const auto& become = request.become;
  return {{"type", "read"},
          {"credentials", std::move(credentials)},
          {"uid", become ? json(become->first) : json(nullptr)},
          {"gid", become ? json(become->second) : json(nullptr)}};
}

json to_json(const std::vector<ReadResult>& results) {
  json list = json::array();
  for (const ReadResult& one : results) {
    list.push_back({{"name", one.name}, {"error", one.error}, {"missing", one.missing}, {"notes", one.notes}});
  }
  return {{"type", "results"}, {"results", std::move(list)}};
}

Result<ReadRequest> read_request_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "credentials", "uid", "gid"}, "the request"));
  ReadRequest request;
  BH_TRY(const json* credentials, json_read::array(object, "credentials"));
  for (const json& one : *credentials) {
    BH_TRY(Credential credential, credential_from(one));
    request.credentials.push_back(std::move(credential));
    BH_TRY(const std::uint64_t recipients, json_read::number(one, "recipients", 250));
    request.recipients.push_back(recipients);
  }
  if (object.at("uid").is_null() && object.at("gid").is_null()) return request;
  BH_TRY(const std::uint64_t uid, json_read::number(object, "uid", 0xfffffffe));
  BH_TRY(const std::uint64_t gid, json_read::number(object, "gid", 0xfffffffe));
  request.become = {static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
  return request;
}

Result<std::vector<ReadResult>> read_results_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "results"}, "the answer"));
  std::vector<ReadResult> results;
  BH_TRY(const json* list, json_read::array(object, "results"));
  for (const json& one : *list) {
    BH_TRY(ReadResult result, result_from(one));
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace bulkhead
