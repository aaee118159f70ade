// What the connections of one front share. One thread; outlives every connection.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "gateway/front/denied.h"
#include "gateway/front/egress_lane.h"
#include "gateway/front/limits.h"
#include "gateway/front/names.h"
#include "gateway/front/questions.h"
#include "gateway/gateway.h"
#include "gateway/live.h"
#include "gateway/tls/server_context.h"
#include "gateway/under_way.h"

namespace bulkhead::front {

class Stream;

struct Shared {
  asio::io_context& io;
  Limits limits;
  std::vector<Grant> grants;
  std::vector<TokenSlot> tokens;
  evidence::Recorder recorder;
  NameTable names;
  // Made at the first TLS connection: it costs a millisecond that a session's start can do without. Null: it failed.
  std::function<const tls::ServerContext*()> tls;
  DeniedReports denied;
  std::function<void(const std::string&)> stop;
  std::map<std::string, std::unique_ptr<LanePool>> egress = {};  // by credential name
  std::set<Stream*> streams = {};                                // for their deadlines
  UnderWay under_way = {};                                       // requests that went up and have no record yet
  Live live = {};                                                // the same, by the grant they go by
  std::vector<WithdrawnGrant> withdrawn = {};                    // held once; only to say so
  RetiredGrants retired = {};                                    // what is under way points into them
  std::optional<Questions> questions = {};                       // unset: nobody is asked
  std::size_t connections = 0;
  std::size_t h2_held = 0;  // Limits::h2_held
  bool stopped = false;

  const TokenSlot* slot_of(const Grant& grant) const {
    for (const TokenSlot& token : tokens) {
      if (!grant.credential.empty() && token.credential == grant.credential) return &token;
    }
    return nullptr;
  }
  // False: evidence is gone, and so is this front; the caller does nothing more.
  bool record(const evidence::Event& event) { return !stopped && recorded(recorder.record(event)); }
  bool record(std::string_view type, const nlohmann::json& fields) {
    return !stopped && recorded(recorder.record(type, fields));
  }
  bool recorded(const Result<void>& done) {
    if (!done) halt("evidence: " + done.error().message);
    return done.has_value();
  }
  void halt(const std::string& why) {
    if (std::exchange(stopped, true)) return;
    stop(why);
  }
};

}  // namespace bulkhead::front
