#include "gateway/egress/harness_test.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/own_addresses.h"

namespace bulkhead::egress {
namespace {

constexpr timeval patience{10, 0};

void limit(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

EVP_PKEY* new_key() {  // EVP_EC_gen() is a macro with a cast
  return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
}

tls::CertificatePtr certificate(EVP_PKEY* key, const char* name, long begins, long ends) {
  tls::CertificatePtr made(::X509_new());
  static std::atomic<long> serial = 1;
  ::X509_set_version(made.get(), 2);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), ++serial);
  ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), begins);
  ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), ends);
  ::X509_set_pubkey(made.get(), key);
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  return made;
}

void extend(X509* made, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  ::X509V3_set_ctx(&context, issuer, made, nullptr, nullptr, 0);
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  ::X509_add_ext(made, extension, -1);
  ::X509_EXTENSION_free(extension);
}

UniqueFd connected(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fd.reset();
  return fd;
}

// Bytes both ways, and the end of each, until both have ended.
void carry(Peer& peer, int other) {
  bool up = true, down = true;
  while (up || down) {
    pollfd fds[] = {{up ? peer.fd() : -1, POLLIN, 0}, {down ? other : -1, POLLIN, 0}};
    if (!(up && peer.pending()) && ::poll(fds, 2, 10'000) <= 0) return;
    if (up && (peer.pending() || fds[0].revents != 0)) {
      const std::string part = peer.part();
      if (part.empty()) {
        up = false;
        ::shutdown(other, SHUT_WR);
      } else if (::send(other, part.data(), part.size(), MSG_NOSIGNAL) < 0) {
        return;
      }
    }
    if (down && fds[1].revents != 0) {
      char buffer[32 * 1024];
      const ssize_t n = ::recv(other, buffer, sizeof buffer, 0);
      if (n <= 0) {
        down = false;
        peer.close_notify();
        ::shutdown(peer.fd(), SHUT_WR);
      } else if (!peer.write({buffer, static_cast<std::size_t>(n)})) {
        return;
      }
    }
  }
}

}  // namespace

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + i / 251 + i / 65537) % 26);
  return out;
}

TestCa::TestCa() : key_(new_key()) {
  static std::atomic<int> made = 0;
  certificate_ = certificate(key_.get(), ("Test CA " + std::to_string(++made)).c_str(), -3600, 24L * 3600);
  ::X509_set_issuer_name(certificate_.get(), ::X509_get_subject_name(certificate_.get()));
  extend(certificate_.get(), certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  ::X509_sign(certificate_.get(), key_.get(), ::EVP_sha256());
}

std::string TestCa::pem() const {
  BIO* bio = ::BIO_new(::BIO_s_mem());
  ::PEM_write_bio_X509(bio, certificate_.get());
  char* data = nullptr;
  const long size = ::BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  ::BIO_free(bio);
  return out;
}

tls::ContextPtr TestCa::server(const Leaf& leaf) const {
  const tls::KeyPtr key(new_key());
  const tls::CertificatePtr made = certificate(key.get(), "leaf", leaf.begins, leaf.ends);
  X509* issuer = leaf.self_signed ? made.get() : certificate_.get();
  ::X509_set_issuer_name(made.get(), ::X509_get_subject_name(issuer));
  extend(made.get(), issuer, NID_subject_alt_name, leaf.san);
  ::X509_sign(made.get(), leaf.self_signed ? key.get() : key_.get(), leaf.digest);
  tls::ContextPtr context(::SSL_CTX_new(::TLS_server_method()));
  ::SSL_CTX_set_security_level(context.get(), 0);  // it may offer what no client should take
  ::SSL_CTX_use_certificate(context.get(), made.get());
  ::SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

Peer::Peer(int fd, SSL_CTX* tls) : fd_(fd) {
  limit(fd_);
  if (tls == nullptr) return;
  ssl_ = ::SSL_new(tls);
  ::SSL_set_fd(ssl_, fd_);
  ready_ = ::SSL_accept(ssl_) == 1;
  ::ERR_clear_error();
}

Peer::~Peer() {
  ::SSL_free(ssl_);
  ::ERR_clear_error();
}

std::size_t Peer::some(char* into, std::size_t size) {
  if (!left_.empty()) {
    const std::size_t n = left_.copy(into, size);
    left_.erase(0, n);
    return n;
  }
  const auto n = ssl_ != nullptr ? ::SSL_read(ssl_, into, static_cast<int>(size)) : ::recv(fd_, into, size, 0);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

bool Peer::pending() const {
  return !left_.empty() || (ssl_ != nullptr && ::SSL_pending(ssl_) > 0);
}

std::string Peer::head() {
  std::string out;
  char buffer[4096];
  while (out.find("\r\n\r\n") == std::string::npos) {
    const std::size_t n = some(buffer, sizeof buffer);
    if (n == 0) return {};
    out.append(buffer, n);
  }
  const std::size_t end = out.find("\r\n\r\n") + 4;
  left_ = out.substr(end) + left_;
  out.resize(end);
  return out;
}

std::string Peer::read(std::size_t size) {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const std::size_t n = some(out.data() + have, size - have);
    if (n == 0) break;
    have += n;
  }
  out.resize(have);
  return out;
}

std::string Peer::chunked() {
  std::string out;
  for (;;) {
    std::string line;
    while (!line.ends_with("\r\n")) {
      const std::string c = read(1);
      if (c.empty()) return out + "<cut>";
      line += c;
    }
    const std::size_t size = std::stoul(line, nullptr, 16);
    out += read(size);
    read(2);
    if (size == 0) return out;
  }
}

std::string Peer::part() {
  std::string out(64 * 1024, '\0');
  out.resize(some(out.data(), out.size()));
  return out;
}

bool Peer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ssl_ != nullptr ? ::SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                   : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Peer::close_notify() {
  if (ssl_ != nullptr) ::SSL_shutdown(ssl_);
}

void Peer::reset() {
  const linger hard{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

Upstream::Upstream(Script script, tls::ContextPtr tls) : script_(std::move(script)), tls_(std::move(tls)) {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write(2)
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 64) != 0) {
    ::abort();
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd] {
        {
          Peer peer(fd, tls_.get());
          while (peer.ready()) {
            const std::string head = peer.head();
            if (head.empty()) break;
            {
              const std::lock_guard inner(mutex_);
              heads_.push_back(head);
            }
            if (!script_(peer, head)) break;
          }
        }
        const std::lock_guard inner(mutex_);
        open_.remove(fd);
        ::close(fd);
      });
    }
  });
}

Upstream::~Upstream() {
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

std::vector<std::string> Upstream::heads() {
  const std::lock_guard lock(mutex_);
  return heads_;
}

Upstream::Script honest_proxy() {
  return [](Peer& peer, const std::string& head) -> bool {
    const std::string authority = head.substr(0, head.find(" HTTP/1.1"));
    const UniqueFd other = connected(static_cast<std::uint16_t>(std::stoi(authority.substr(authority.rfind(':') + 1))));
    if (!other) {
      peer.write("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
      return false;
    }
    // In one piece with what the upstream says first, if anything.
    std::string answer = "HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n";
    pollfd greeting{other.get(), POLLIN, 0};
    if (::poll(&greeting, 1, 100) > 0) {
      char buffer[1024];
      const ssize_t n = ::recv(other.get(), buffer, sizeof buffer, 0);
      if (n > 0) answer.append(buffer, static_cast<std::size_t>(n));
    }
    peer.write(answer);
    carry(peer, other.get());
    return false;
  };
}

EgressProxy by_proxy(const Upstream& proxy, const std::string& credential) {
  EgressProxy out;
  out.upstream.proxy_host = "127.0.0.1";
  out.upstream.proxy_port = proxy.port();
  out.upstream.credential = credential;
  out.slot.credential = credential;
  out.slot.carrier = Credential::Carrier::basic;
  out.slot.basic_user = "labu";
  return out;
}

std::string ok(std::string_view body, const std::string& more) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" +
         std::string(body);
}

std::string Answer::header(std::string_view name) const {
  for (const auto& [known, value] : response ? response->headers : lane::Headers{}) {
    if (known == name) return value;
  }
  return "<none>";
}

Lane::Lane(int control) {
  auto pair = sys::socket_pair(SOCK_STREAM);
  socket_ = std::move(pair->first);
  limit(socket_.get());
  const int theirs = pair->second.get();
  if (!ipc::send(control, std::string_view(R"({"type":"lane"})"), std::span(&theirs, 1))) socket_.reset();
}

bool Lane::send(std::string_view frames) {
  while (!frames.empty()) {
    const ssize_t n = ::send(socket_.get(), frames.data(), frames.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    frames.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool Lane::frame(lane::Kind& kind, std::string& payload) {
  char header[lane::header_size];
  if (::recv(socket_.get(), header, sizeof header, MSG_WAITALL) != static_cast<ssize_t>(sizeof header)) return false;
  const auto decoded = lane::decode_header({header, sizeof header});
  if (!decoded) return false;
  kind = decoded->kind;
  payload.assign(decoded->length, '\0');
  if (payload.empty()) return true;
  return ::recv(socket_.get(), payload.data(), payload.size(), MSG_WAITALL) == static_cast<ssize_t>(payload.size());
}

Answer Lane::answer() {
  Answer out;
  lane::Kind kind;
  std::string payload;
  while (frame(kind, payload)) {
    if (kind == lane::Kind::failure) {
      if (auto failure = lane::decode_failure(payload)) out.failure = *failure;
      return out;
    }
    if (kind == lane::Kind::response) {
      if (auto response = lane::decode_response(payload)) out.response = *response;
    } else if (kind == lane::Kind::body) {
      out.body += payload;
    } else if (kind == lane::Kind::trailers) {
      if (auto trailers = lane::decode_trailers(payload)) out.trailers = *trailers;
    } else {
      out.whole = kind == lane::Kind::end;
      out.dropped = kind == lane::Kind::dropped;
      return out;
    }
  }
  return out;
}

bool Lane::closed() {
  char byte = 0;
  return ::recv(socket_.get(), &byte, 1, 0) == 0;
}

lane::Request request(std::uint16_t port, const std::string& target, const std::string& method) {
  lane::Request out;
  out.grant = "1";
  out.method = method;
  out.scheme = "http";
  out.host = "api.example.com";
  out.port = port;
  out.target = target;
  return out;
}

Grant grant(std::uint16_t port, const std::string& credential, const std::string& host) {
  Grant out;
  out.id = "1";
  out.hosts = {host};
  out.port = port;
  out.protocol = Protocol::http;
  out.credential = credential;
  Rule rule;
  rule.methods = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
  rule.path = "/**";
  rule.query = {"*"};
  out.allow = {rule};
  return out;
}

Sockets::Sockets() {
  for (const auto& [ours, theirs] : {std::pair(&control, &egress_control), std::pair(&supervisor, &egress_supervisor),
                                     std::pair(&evidence, &egress_evidence)}) {
    auto pair = sys::socket_pair(SOCK_SEQPACKET);
    *ours = std::move(pair->first);
    *theirs = std::move(pair->second);
  }
}

std::vector<nlohmann::json> Sockets::events() {
  std::vector<nlohmann::json> out;
  std::vector<char> buffer(128 * 1024);
  for (;;) {
    const ssize_t n = ::recv(evidence.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) return out;
    out.push_back(nlohmann::json::parse(std::string_view(buffer.data(), static_cast<std::size_t>(n))));
  }
}

EgressConfig configuration(const Running::Options& options, const std::string& dns) {
  EgressConfig config;
  config.session = "test";
  config.credential = options.credential;
  config.grants = options.grants;
  config.dns_servers = {dns};
  config.proxy = options.proxy;
  if (options.credential.empty()) return config;
  config.slot.credential = options.credential;
  config.slot.token = "bulkhead-token-0123456789abcdef";
  config.slot.carrier = options.carrier;
  config.slot.issued = options.issued;
  if (options.carrier == Credential::Carrier::header) config.slot.header = "x-api-key";
  if (options.carrier == Credential::Carrier::basic) config.slot.basic_user = "user";
  return config;
}

Running::Running(Options options) : dns_(io_) {
  dns_->records = std::move(options.records);
  EgressConfig config = configuration(options, dns_->address());
  if (!options.dns_answers) dns_.reset();
  Parts parts;
  parts.control = std::move(sockets.egress_control);
  parts.supervisor = std::move(sockets.egress_supervisor);
  parts.evidence = std::move(sockets.egress_evidence);
  if (!options.upstream_ca.empty()) {
    parts.upstream_ca.push_back(std::move(*sys::memory_file("ca", options.upstream_ca)));
  }
  parts.timeouts = options.timeouts;
  parts.address_check = [real = address_check({})](const boost::asio::ip::address& address) {
    return address.to_string() == "127.0.0.1" ? std::nullopt : real(address);
  };
  parts.stop = [this](const std::string& why) {
    const std::lock_guard lock(mutex_);
    why_ = why;
    io_.stop();
  };
  auto created = Egress::create(io_, std::move(config), std::move(parts));
  if (!created) {
    why_ = created.error().message;
    return;
  }
  egress_ = std::move(*created);
  if (!options.credential.empty() && !options.issued) {
    const auto given = egress_->give(Secret(secret));
    EXPECT_TRUE(given) << given.error().message;
  }
  if (!options.proxy.upstream.credential.empty()) {
    const auto given = egress_->give_proxy(Secret(proxy_secret));
    EXPECT_TRUE(given) << given.error().message;
  }
  egress_->start();
  thread_ = std::thread([this] { io_.run(); });
}

Running::~Running() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

nlohmann::json Running::event(std::string_view type) {
  for (int i = 0; i < 300; ++i) {
    for (auto& one : sockets.events()) events_.push_back(std::move(one));
    while (!events_.empty()) {
      nlohmann::json one = std::move(events_.front());
      events_.pop_front();
      if (one["type"] == type) return one;
    }
    ::poll(nullptr, 0, 10);
  }
  return nullptr;
}

std::string Running::stopped() {
  for (int i = 0; i < 300; ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (!why_.empty()) return why_;
    }
    ::poll(nullptr, 0, 10);
  }
  return {};
}

}  // namespace bulkhead::egress
