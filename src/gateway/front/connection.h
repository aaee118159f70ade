// One connection from the workload, from accept to close.
#pragma once

#include <memory>
#include <string>

#include "gateway/front/input.h"
#include "gateway/front/shared.h"
#include "gateway/front/stream.h"
#include "gateway/grant/grant.h"
#include "gateway/http/http.h"

namespace bulkhead::front {

// Where a connection was going: getsockname(2), since every address of the room is ours.
struct Destination {
  std::string address;  // as inet_ntop(3) writes it, without brackets
  std::string name;     // the name that DNS gave this address to, or empty
  std::uint16_t port = 0;
  std::string shown() const { return name.empty() ? address : name; }
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, UniqueFd socket, Destination destination);
  ~Connection();

  Task<void> run();

 private:
  enum class Spoken { tls, http, other, nothing };
  Task<Spoken> sniff();
  bool only_tls() const;
  Task<void> refuse_ssh();
  Task<bool> secure();
  Task<void> serve();
  // One request. False: the connection ends here.
  Task<bool> request();
  Task<bool> read_head(http::RequestReader& reader);
  Task<bool> judge(http::RequestReader& reader);
  // Answers, records and reports; then reads what is left of the request where that is little.
  Task<bool> deny(http::RequestReader& reader, grant::Decision decision, std::string what);
  Task<bool> reject(const http::Refusal& refusal);
  Task<bool> drain(http::RequestReader& reader);
  std::string url(const http::RequestHead& head) const;
  void refused(const std::string& what, const std::string& why);
  bool record_request(const http::RequestHead& head, const grant::Decision& decision, std::uint16_t status,
                      std::uint64_t up, std::uint64_t down);

  Shared& shared_;
  Stream stream_;
  Input input_;
  Destination destination_;
  tls::Handshake handshake_;
  std::string scheme_ = "http";
  Clock::time_point began_;
};

}  // namespace bulkhead::front
