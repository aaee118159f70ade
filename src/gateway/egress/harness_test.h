// What the tests of the whole egress share: certificates, an upstream that does as it is told, an egress in a thread
// of its own, and front's end of its lanes.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateway/egress/dns_server_for_test.h"
#include "gateway/egress/egress.h"
#include "gateway/tls/openssl.h"

namespace bulkhead::egress {

inline constexpr const char* secret = "sk-live/0123456789+abcdef";
inline constexpr const char* proxy_secret = "Proxy-Passw0rd/42";
std::string pattern(std::size_t size);  // bytes in which a lost or doubled piece shows

// Seconds are from now.
struct Leaf {
  std::string san = "DNS:api.example.com";
  long begins = -3600, ends = 3600;
  bool self_signed = false;
  const EVP_MD* digest = ::EVP_sha256();
};

class TestCa {
 public:
  TestCa();
  std::string pem() const;
  tls::ContextPtr server(const Leaf& leaf = {}) const;

 private:
  tls::KeyPtr key_;
  tls::CertificatePtr certificate_;
};

// One connection at an upstream.
class Peer {
 public:
  Peer(int fd, SSL_CTX* tls);
  ~Peer();
  bool ready() const { return ready_; }
  std::string head();  // up to and with the empty line; "" at the end
  std::string read(std::size_t size);
  std::string chunked();  // a whole chunked body, decoded
  std::string part();     // what there is; "" at the end
  bool write(std::string_view bytes);
  void close_notify();
  void reset();  // the next close is an RST
  int fd() const { return fd_; }
  bool pending() const;  // part() would not wait

 private:
  std::size_t some(char* into, std::size_t size);
  int fd_;
  SSL* ssl_ = nullptr;
  bool ready_ = true;
  std::string left_;
};

class Upstream {
 public:
  // One call a request; false ends the connection. Runs in the connection's own thread.
  using Script = std::function<bool(Peer&, const std::string& head)>;
  explicit Upstream(Script script, tls::ContextPtr tls = nullptr);
  ~Upstream();
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  std::vector<std::string> heads();

 private:
  Script script_;
  tls::ContextPtr tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::vector<std::string> heads_;
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::thread accepting_;
};
std::string ok(std::string_view body, const std::string& more = "");  // 200 with a length

// A proxy as it should be: whatever name it is told, this machine is meant.
Upstream::Script honest_proxy();
// … and how egress is told of one. Its user is "labu".
EgressProxy by_proxy(const Upstream& proxy, const std::string& credential = "corp");

struct Answer {
  std::optional<lane::Response> response;
  std::optional<lane::Failure> failure;
  std::string body;
  lane::Headers trailers;
  bool whole = false;  // the end came
  bool dropped = false;
  std::string header(std::string_view name) const;
};

// Front's end.
class Lane {
 public:
  explicit Lane(int control);
  bool send(std::string_view frames);
  Answer answer();
  Answer ask(const lane::Request& request) {
    send(lane::encode(request) + lane::encode_end());
    return answer();
  }
  bool closed();                          // the other end has closed it, now or within seconds
  bool frame(lane::Kind&, std::string&);  // the next one
  void close() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

// What front sends for `method` `target`.
lane::Request request(std::uint16_t port, const std::string& target = "/", const std::string& method = "GET");
Grant grant(std::uint16_t port, const std::string& credential = "", const std::string& host = "api.example.com");

// Both ends of what the supervisor makes.
struct Sockets {
  Sockets();
  UniqueFd control, supervisor, evidence;  // ours
  UniqueFd egress_control, egress_supervisor, egress_evidence;
  std::vector<nlohmann::json> events();  // those that came since the last call
};

// egress.h in a thread. Names resolve as `records` says; 127.0.0.1 may be dialled, other private addresses not.
class Running {
 public:
  struct Options {
    std::vector<Grant> grants = {};
    std::string credential = {};  // its secret is `secret`
    Credential::Carrier carrier = Credential::Carrier::header;
    bool issued = false;           // it has none at the start, but those that servers hand out
    std::string upstream_ca = {};  // PEM
    std::map<std::string, std::vector<std::string>> records = {{"api.example.com. A", {"127.0.0.1"}}};
    Timeouts timeouts = {};
    bool dns_answers = true;
    EgressProxy proxy = {};  // with a credential, its secret is `proxy_secret`
  };
  explicit Running(Options options);
  ~Running();
  int control() const { return sockets.control.get(); }
  nlohmann::json event(std::string_view type);  // the next of that type; null after a while
  std::string stopped();                        // why; "" when it still runs after a while
  Sockets sockets;

 private:
  boost::asio::io_context io_;
  std::optional<TestDns> dns_;
  std::unique_ptr<Egress> egress_;
  std::mutex mutex_;
  std::string why_;
  std::deque<nlohmann::json> events_;
  std::thread thread_;
};
EgressConfig configuration(const Running::Options& options, const std::string& dns);

}  // namespace bulkhead::egress
