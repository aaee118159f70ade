// What the tests of the whole front share: a room, a front in it as a process of its own, a scripted
// egress behind it, and clients that speak as the workload would.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "gateway/front/limits.h"
#include "gateway/gateway.h"
#include "gateway/lane.h"
#include "gateway/tls/openssl.h"

namespace bulkhead::front {

inline constexpr std::size_t big = 10 * 1024 * 1024;
inline constexpr const char* token = "bulkhead-token-0123456789abcdef";  // what the workload holds
std::string pattern(std::size_t size);                                   // bytes in which a lost or doubled piece shows

// The other end of the lanes. What it answers is in the request's path, see harness_test.cc.
class FakeEgress {
 public:
  explicit FakeEgress(UniqueFd control);
  ~FakeEgress();
  std::vector<lane::Request> requests();
  std::vector<lane::Tunnel> tunnels();
  int lanes() const { return lanes_; }
  int hangups() const { return hangups_; }  // lanes that front left while /wait waited
  void die();                               // as a killed process: every socket closes at once

 private:
  void serve(int fd);
  bool answer(int fd, const lane::Request& request);
  bool websocket(int fd, const lane::Request& request);
  void tunnel(int fd, const std::string& payload);

  UniqueFd control_;
  std::mutex mutex_;
  std::vector<lane::Request> requests_;
  std::vector<lane::Tunnel> tunnels_;
  std::list<UniqueFd> sockets_;
  std::list<std::thread> threads_;
  std::thread accepting_;
  std::atomic<int> lanes_ = 0, hangups_ = 0;
};

enum class Run { library, program };  // front.h with limits of the test's, or the confined program

class Gateway {
 public:
  Gateway(Run run, const Limits& limits, bool ask = false);
  ~Gateway();

  const std::string& ca() const { return ca_; }
  std::string ca_java;
  FakeEgress& egress() { return *egress_.front(); }
  FakeEgress& egress_api() { return *egress_.back(); }

  // The first event, now or within seconds, that `matches`; null: none came.
  nlohmann::json event(const std::function<bool(const nlohmann::json&)>& matches);
  // An http.request with this `rule`, or a net.refused with this `what`.
  nlohmann::json event(const std::string& word);
  std::size_t events();
  // The next denial told to the supervisor.
  nlohmann::json denial();
  // As the supervisor says it.
  void tell(const nlohmann::json& message);
  void leave_supervisor() { control_.reset(); }
  void leave_evidence();
  // Within seconds; nullopt: front still runs.
  std::optional<ExitStatus> ended();
  std::string errors() const;  // what front wrote on descriptor 2
  pid_t pid() const { return child_.pid(); }

 private:
  Child child_;
  UniqueFd control_, evidence_, errors_;
  std::string ca_;
  std::vector<std::unique_ptr<FakeEgress>> egress_;
  std::thread collecting_;
  std::mutex mutex_;
  std::vector<nlohmann::json> events_;
};

struct Reply {
  std::uint16_t status = 0;
  lane::Headers headers;
  std::string body;
  bool keep_alive = true;
  std::string header(std::string_view name) const;
};

class Client {
 public:
  explicit Client(std::uint16_t port, const char* address = "127.0.0.1");
  std::string alpn = {};  // offered, as on the wire; empty: nothing is
  // False: no handshake, or a certificate for another name. Empty `sni`: none is sent, and
  // `expected` is what the certificate must say.
  bool secure(const Gateway& gateway, const std::string& sni, const std::string& expected = {});
  bool send(std::string_view bytes);
  // A whole answer, or nullopt: it was cut, or is no HTTP.
  std::optional<Reply> reply(std::string_view method = "GET");
  std::optional<Reply> ask(std::string_view request) {
    send(request);
    return reply(request.substr(0, request.find(' ')));
  }
  std::string raw(std::size_t at_most = 4096);  // one read
  bool ended();                                 // nothing but the end comes
  void close();
  void half_close();

 private:
  std::size_t read(char* into, std::size_t size);
  UniqueFd socket_;
  tls::ContextPtr context_;
  tls::SslPtr ssl_;
  std::string left_;  // read, and not part of the last reply
};

// Heads as clients write them.
std::string get(const std::string& host, const std::string& path, const std::string& more = {});
std::string post(const std::string& host, const std::string& path, std::string_view body);

// Over UDP to `address`, port 53; empty: no answer.
std::string ask_dns(std::string_view query, const char* address = "127.0.0.1");
std::string dns_query(std::uint16_t id, const std::string& name);  // type A

}  // namespace bulkhead::front
