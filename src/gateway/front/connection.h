// One connection from the workload, from accept to close.
#pragma once

#include <memory>
#include <string>

#include "gateway/front/held.h"
#include "gateway/front/input.h"
#include "gateway/front/judge.h"
#include "gateway/front/stream.h"
#include "gateway/http/http.h"

namespace bulkhead::front {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, UniqueFd socket, Destination destination);
  ~Connection();

  Task<void> run();

 private:
  enum class Spoken { tls, http, other, nothing };
  Task<Spoken> sniff();
  Task<bool> through_proxy();
  Task<void> tunnel(const Grant& grant);
  bool only_tcp() const;
  bool only_tls() const;
  Task<void> refuse_ssh();
  Task<bool> secure();
  Task<void> serve();
  // One request. False: the connection ends here.
  Task<bool> request();
  Task<bool> read_head(http::RequestReader& reader);
  Task<bool> judge(http::RequestReader& reader);
  Task<void> ask(const http::RequestHead& head, Judged& judged, Held& held);
  // Answers, records and reports; then reads what is left of the request where that is little.
  Task<bool> deny(http::RequestReader& reader, grant::Decision decision);
  Task<bool> reject(const http::Refusal& refusal);
  Task<bool> drain(http::RequestReader& reader);

  Shared& shared_;
  Stream stream_;
  Input input_;
  Arrival arrival_;
  tls::Handshake handshake_;
  Clock::time_point began_;
};

}  // namespace bulkhead::front
