// What the lanes of one egress share. One thread; outlives every lane.
#pragma once

#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "credential/exchange.h"
#include "evidence/evidence.h"
#include "gateway/egress/dial.h"
#include "gateway/egress/issued.h"
#include "gateway/egress/login.h"
#include "gateway/egress/permit.h"
#include "gateway/egress/pool.h"
#include "gateway/egress/scrub.h"
#include "gateway/egress/sign.h"
#include "gateway/egress/upstream_proxy.h"
#include "gateway/live.h"
#include "gateway/under_way.h"

namespace bulkhead::egress {

// For co_spawn: what a coroutine throws (memory is out, an invariant broken) ends the process by way of io.run().
inline void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

struct Context {
  boost::asio::io_context& io;
  std::string credential;                  // name, or empty
  std::optional<CredentialHeader> header;  // what goes into the slot
  std::optional<Signer> signer;            // or who signs, where the slot is a signature
  std::optional<IssuedValues> issued;      // or what servers hand out for it, by number
  std::unique_ptr<HeldLogin> login;        // beside those, where it is an agent's login
  Patterns patterns;                       // what comes out of answers
  // … and, beside those, out of answers without TLS: what the proxy on the way to them was told.
  Patterns plain_patterns;
  Permits& permits;
  Dialer& dialer;
  const UpstreamProxy& proxy;
  Pool& pool;
  evidence::Recorder& recorder;
  std::function<void(const std::string&)> stop;
  std::vector<char> scratch = {};  // transfer bytes, once the first lane has come
  bool stopped = false, ending = false;
  std::size_t lanes = 0;    // open now
  UnderWay under_way = {};  // exchanges that have no record yet
  Live live = {};           // the same, by the grant they go by
  std::size_t held = 0;     // bytes of bodies that are held, all lanes together

  // A server has handed something out.
  void take_out_issued() {
    patterns = issued->patterns();
    plain_patterns = issued->patterns();
    if (login) login->add_to(patterns);
    if (login) login->add_to(plain_patterns);
    proxy.add_to(plain_patterns);
  }

  // Do answers have to be readable? Also before a server has handed anything out: one may be on its way when that is.
  bool reads_answers() const { return issued || !patterns.empty(); }
  // What goes into the slot of `request`; null when there is nothing, or nothing any more.
  const CredentialHeader* header_for(const lane::Request& request) const {
    if (issued) return issued->find(request.issued);
    return header ? &*header : nullptr;
  }
  // The header that only we may send; empty without a credential.
  std::string_view slot_name() const {
    if (issued) return issued->header_name();
    if (signer) return "authorization";
    return header ? std::string_view(header->name) : std::string_view();
  }

  // False: evidence is gone, and so is this egress; the caller does nothing more.
  bool record(const evidence::Event& event) { return !stopped && recorded(recorder.record(event)); }
  bool record(std::string_view type, const nlohmann::json& fields) {
    return !stopped && recorded(recorder.record(type, fields));
  }
  bool recorded(const Result<void>& done) {
    if (!done) halt("evidence: " + done.error().message);
    return done.has_value();
  }
  void halt(const std::string& why) {
    if (std::exchange(ending, true)) return;
    under_way.record_all();
    stopped = true;
    stop(why);
  }
};

}  // namespace bulkhead::egress
