#include "gateway/front/harness_test.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/front/front.h"
#include "gateway/http/http.h"
#include "room/room.h"

namespace bulkhead::front {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds patience{10'000};

// One room for all tests of this program, which lives in it from then on.
const room::Room& the_room() {
  static const room::Room opened = [] {
    auto program = sys::open(BULKHEAD_HOLDER, O_PATH);
    if (!program) throw std::runtime_error(program.error().message);
    auto pending = room::begin(program->get());
    if (!pending) throw std::runtime_error(pending.error().message);
    if (auto told = room::furnish(*pending, {22, 80, 443, proxy_port, 5432, 8080, 8443}); !told) {
      throw std::runtime_error(told.error().message);
    }
    auto room = room::finish(std::move(*pending));
    if (!room) throw std::runtime_error(room.error().message);
    if (auto done = room::enter(*room); !done) throw std::runtime_error(done.error().message);
    return std::move(*room);
  }();
  return opened;
}

Grant grant(const char* id, const char* host, std::uint16_t port, Protocol protocol) {
  Grant out;
  out.id = id;
  out.hosts = {host};
  out.port = port;
  out.protocol = protocol;
  out.allow = {{{"GET", "HEAD", "POST", "PUT"}, "/**", {"*"}, "", std::nullopt}};
  return out;
}

FrontConfig config() {
  FrontConfig out;
  out.session = "test";
  out.listeners = the_room().listeners;
  out.egress = {"", "api"};
  out.grants = {
      grant("1", "api.example.com", 443, Protocol::https),    grant("2", "plain.example.com", 80, Protocol::http),
      grant("3", "cred.example.com", 443, Protocol::https),   grant("4", "tls.example.com", 8443, Protocol::https),
      grant("5", "a.example.com", 8080, Protocol::http),      grant("6", "b.example.com", 8080, Protocol::https),
      grant("7", "small.example.com", 80, Protocol::http),    grant("8", "198.51.100.7", 443, Protocol::https),
      grant("9", "orphan.example.com", 443, Protocol::https), grant("10", "db.example.com", 5432, Protocol::tcp),
      grant("11", "198.51.100.9", 8080, Protocol::tcp),       grant("12", "ws.example.com", 80, Protocol::ws),
      grant("13", "ws.example.com", 443, Protocol::wss)};
  out.grants[11].allow[0].headers = {"sec-websocket-protocol"};
  out.grants[2].credential = "api";
  out.grants[6].allow[0].max_body = 1000;
  out.grants[8].credential = "nobody";  // no egress has it
  for (const char* name : {"api", "nobody"})
    out.tokens.push_back({name, token, Credential::Carrier::header, "x-api-key", ""});
  return out;
}

// As front_main.cc, but with the test's limits and unconfined: sanitizers can look on.
int serve(const Limits& limits) {
  if (!tls::SessionCa::initialise()) return 99;
  UniqueFd supervisor(3), evidence(4);
  auto message = ipc::receive(supervisor.get());
  auto parsed = front_config_from(*ipc::parse(message->text));
  if (!parsed) return 98;
  Parts parts;
  for (std::size_t i = 0; i < message->fds.size(); ++i) {
    (i < parsed->listeners.size() ? parts.listeners : parts.egress).push_back(std::move(message->fds[i]));
  }
  auto ca = tls::SessionCa::make(parsed->session, ::time(nullptr));
  const auto pem = ca ? ca->pem() : Result<std::string>(tl::unexpected(ca.error()));
  if (!pem || !sys::write_all(5, *pem, "pipe")) return 94;
  ::close(5);
  ::close(6);
  parts.ca = std::move(*ca);
  const int control = supervisor.get();
  parts.supervisor = std::move(supervisor);
  parts.evidence = std::move(evidence);
  parts.stop = [](const std::string& why) {
    ::dprintf(2, "%s\n", why.c_str());
    ::_exit(0);
  };
  asio::io_context io(1);
  auto front = Front::create(io, std::move(*parsed), std::move(parts), limits);
  if (!front) return 97;
  (*front)->start();
  if (!ipc::send(control, nlohmann::json{{"type", "ready"}})) return 96;
  io.run();
  return 95;
}

bool readable(int fd, milliseconds within) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, static_cast<int>(within.count())) == 1;
}

bool exactly(int fd, char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::recv(fd, into, size, 0);
    if (n <= 0) return false;
    into += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

struct Frame {
  lane::Kind kind;
  std::string payload;
};
std::optional<Frame> frame(int fd) {
  char head[lane::header_size];
  if (!exactly(fd, head, sizeof head)) return std::nullopt;
  const auto header = lane::decode_header({head, sizeof head});
  if (!header) return std::nullopt;
  Frame out{header->kind, std::string(header->length, '\0')};
  if (!exactly(fd, out.payload.data(), out.payload.size())) return std::nullopt;
  return out;
}

bool put(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string bodies(std::string_view bytes) {
  std::string out;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), lane::max_body)))
    out += lane::encode_body(bytes.substr(0, lane::max_body));
  return out;
}

std::string whole(std::uint16_t status, std::string_view body) {
  return lane::encode(lane::Response{status, {}, lane::BodyKind::length, body.size()}) + bodies(body) +
         lane::encode_end();
}

}  // namespace

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  std::uint32_t state = 1;
  for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

// ---- egress

FakeEgress::FakeEgress(UniqueFd control) : control_(std::move(control)) {
  accepting_ = std::thread([this] {
    for (;;) {
      auto message = ipc::receive(control_.get());
      if (!message || message->closed || message->fds.size() != 1) return;
      ++lanes_;
      const std::lock_guard lock(mutex_);
      sockets_.push_back(std::move(message->fds[0]));
      threads_.emplace_back([this, fd = sockets_.back().get()] { serve(fd); });
    }
  });
}

void FakeEgress::die() {
  ::shutdown(control_.get(), SHUT_RDWR);
  if (accepting_.joinable()) accepting_.join();
  for (const UniqueFd& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
}

FakeEgress::~FakeEgress() {
  die();
  for (std::thread& thread : threads_) thread.join();
}

std::vector<lane::Request> FakeEgress::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeEgress::serve(int fd) {
  for (;;) {
    const auto first = frame(fd);
    if (first && first->kind == lane::Kind::tunnel) {
      tunnel(fd, first->payload);
      break;
    }
    if (!first || first->kind != lane::Kind::request) break;
    const auto request = lane::decode_request(first->payload);
    if (!request) break;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(*request);
    }
    if (!answer(fd, *request)) break;
  }
  ::shutdown(fd, SHUT_RDWR);
}

// Says back what it hears, and goodbye.
void FakeEgress::tunnel(int fd, const std::string& payload) {
  const auto asked = lane::decode_tunnel(payload);
  if (!asked) return;
  {
    const std::lock_guard lock(mutex_);
    tunnels_.push_back(*asked);
  }
  if (asked->host == "198.51.100.9") {
    (void)put(fd, lane::encode(lane::Failure{429, "budget", "the budget is used up"}));
    return;
  }
  if (!put(fd, lane::encode_opened() + lane::encode_body("ready\n"))) return;
  while (const auto next = frame(fd)) {
    if (next->kind == lane::Kind::end) {
      (void)put(fd, lane::encode_body("bye\n") + lane::encode_end());
      return;
    }
    if (!put(fd, lane::encode_body(next->payload))) return;
  }
}

std::vector<lane::Tunnel> FakeEgress::tunnels() {
  const std::lock_guard lock(mutex_);
  return tunnels_;
}

// Agrees, also where nobody asked; then says back what it hears, but for some words.
bool FakeEgress::websocket(int fd, const lane::Request& request) {
  lane::Headers headers;
  if (request.target.ends_with("?chosen")) headers.emplace_back("sec-websocket-protocol", "b");
  if (!put(fd, lane::encode(lane::Response{.status = 101, .headers = headers}))) return false;
  while (const auto next = frame(fd)) {
    const auto message = lane::decode_message(next->payload);
    if (next->kind != lane::Kind::message || !message) return false;
    if (message->data == "wrong order") {
      (void)put(fd, lane::encode(lane::Message{lane::Opcode::continuation, true, "x"}));
    } else if (message->data == "wrong frame") {
      (void)put(fd, lane::encode_body("x"));
    } else if (message->data == "fail") {
      (void)put(fd, lane::encode(lane::Failure{429, "budget", "the budget is used up"}));
    } else if (message->data == "large") {
      (void)put(fd, lane::encode(lane::Failure{413, "body", "too large"}));
    } else if (message->data == "die") {
      return false;
    } else if (!put(fd, lane::encode(*message))) {
      return false;
    }
  }
  ++hangups_;
  return false;
}

bool FakeEgress::answer(int fd, const lane::Request& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (path == "/stall") {  // takes nothing of the body
    pollfd gone{fd, POLLRDHUP, 0};
    return ::poll(&gone, 1, 10'000) > 0 && false;
  }
  if (path == "/switch") return frame(fd) && websocket(fd, request);
  if (path == "/early") return put(fd, whole(413, "no")) && frame(fd) && frame(fd) && false;
  if (path == "/both") {  // piece by piece, while the request still comes
    if (!put(fd, lane::encode(lane::Response{200, {}, lane::BodyKind::streamed, 0}))) return false;
    for (;;) {
      const auto next = frame(fd);
      if (!next) return false;
      if (next->kind == lane::Kind::end) return put(fd, lane::encode_end());
      if (!put(fd, lane::encode_body(next->payload))) return false;
    }
  }
  std::string body;
  for (;;) {
    const auto next = frame(fd);
    if (!next) return false;
    if (next->kind == lane::Kind::end) break;
    body += next->payload;
  }
  if (path == "/echo") return put(fd, whole(200, body));
  if (path == "/big") return put(fd, whole(200, pattern(big)));
  if (path == "/fail") return put(fd, lane::encode(lane::Failure{429, "budget", "the budget is used up"}));
  if (path == "/nobody")
    return put(fd, lane::encode(lane::Response{204, {}, lane::BodyKind::none, 0}) + lane::encode_end());
  if (request.method == "HEAD")
    return put(fd, lane::encode(lane::Response{200, {}, lane::BodyKind::none, 1234}) + lane::encode_end());
  if (path == "/stream") {
    return put(fd, lane::encode(lane::Response{200, {}, lane::BodyKind::streamed, 0}) + bodies("one ") +
                       bodies("two ") + bodies("three") + lane::encode_end());
  }
  if (path == "/cut" || path == "/cut-stream") {
    const auto kind = path == "/cut" ? lane::BodyKind::length : lane::BodyKind::streamed;
    (void)put(fd, lane::encode(lane::Response{200, {}, kind, path == "/cut" ? 100U : 0U}) + bodies("0123456789"));
    return false;
  }
  if (path == "/dropped") {
    (void)put(fd, lane::encode(lane::Response{200, {}, lane::BodyKind::streamed, 0}) + bodies("0123456789") +
                      lane::encode_dropped());
    return false;
  }
  if (path == "/broken") {  // more than announced
    (void)put(fd, lane::encode(lane::Response{200, {}, lane::BodyKind::length, 3}) + bodies("0123456789") +
                      lane::encode_end());
    return false;
  }
  if (path == "/wait") {
    char byte = 0;
    if (::recv(fd, &byte, 1, 0) <= 0) ++hangups_;
    return false;
  }
  return put(fd, whole(200, "hello"));
}

// ---- front

Gateway::Gateway(Run run, const Limits& limits, bool ask) {
  const room::Room& room = the_room();
  auto control = std::move(*sys::socket_pair(SOCK_SEQPACKET));
  auto evidence = std::move(*sys::socket_pair(SOCK_SEQPACKET));
  errors_ = UniqueFd(::memfd_create("errors", MFD_CLOEXEC));
  auto pem = std::move(*sys::pipe()), java = std::move(*sys::pipe());
  const std::vector<int> fds{-1,
                             errors_.get(),
                             errors_.get(),
                             control.second.get(),
                             evidence.second.get(),
                             pem.second.get(),
                             java.second.get()};
  if (run == Run::program) {
    const auto program = sys::open(BULKHEAD_FRONT, O_PATH);
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-front", "s"};
    options.fds = fds;
    child_ = std::move(*spawn(options));
  } else {
    child_ = std::move(*fork_child(fds, [&] { return serve(limits); }));
  }
  control_ = std::move(control.first);
  evidence_ = std::move(evidence.first);
  evidence.second.reset();
  control.second.reset();

  std::vector<int> sockets;
  for (const UniqueFd& socket : room.sockets) sockets.push_back(socket.get());
  std::vector<sys::Pair> lanes;
  for (int i = 0; i < 2; ++i) {
    lanes.push_back(std::move(*sys::socket_pair(SOCK_SEQPACKET)));
    sockets.push_back(lanes.back().first.get());
  }
  FrontConfig told = config();
  told.ask = ask;
  EXPECT_TRUE(ipc::send(control_.get(), to_json(told), sockets));
  for (sys::Pair& lane : lanes) {
    lane.first.reset();
    egress_.push_back(std::make_unique<FakeEgress>(std::move(lane.second)));
  }
  collecting_ = std::thread([this] {
    for (;;) {
      auto message = ipc::receive(evidence_.get());
      if (!message || message->closed) return;
      const std::lock_guard lock(mutex_);
      events_.push_back(*ipc::parse(message->text));
    }
  });
  nlohmann::json ready = nlohmann::json::object();
  if (readable(control_.get(), patience)) {
    const auto message = ipc::receive(control_.get());
    if (message && !message->closed) ready = *ipc::parse(message->text);
  }
  EXPECT_EQ(ready.value("type", ""), "ready") << errors();
  pem.second.reset();
  java.second.reset();
  ca_ = *sys::read_all(pem.first.get(), 1U << 16, "pipe");
  ca_java = *sys::read_all(java.first.get(), 1U << 16, "pipe");
}

Gateway::~Gateway() {
  control_.reset();
  const auto status = ended();
  EXPECT_TRUE(status && status->shell() == 0) << (status ? status->shell() : -1) << " " << errors();
  child_.kill_and_wait();
  for (auto& egress : egress_) egress->die();
  leave_evidence();
}

void Gateway::leave_evidence() {
  ::shutdown(evidence_.get(), SHUT_RDWR);
  if (collecting_.joinable()) collecting_.join();
}

std::optional<ExitStatus> Gateway::ended() {
  static const ExitStatus clean{};
  if (!child_) return clean;
  if (!readable(child_.pidfd(), patience)) return std::nullopt;
  const auto status = child_.wait();
  if (!status) return clean;  // somebody has asked before
  return *status;
}

std::string Gateway::errors() const {
  std::string out(16 * 1024, '\0');
  const ssize_t n = ::pread(errors_.get(), out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

std::size_t Gateway::events() {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

nlohmann::json Gateway::event(const std::function<bool(const nlohmann::json&)>& matches) {
  const auto until = Clock::now() + milliseconds(3000);
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(events_.begin(), events_.end(), matches);
      if (found != events_.end()) return *found;
    }
    if (Clock::now() > until) return nullptr;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

nlohmann::json Gateway::event(const std::string& word) {
  return event([&](const nlohmann::json& e) { return e.value("rule", "") == word || e.value("what", "") == word; });
}

void Gateway::tell(const nlohmann::json& message) {
  EXPECT_TRUE(ipc::send(control_.get(), message));
}

nlohmann::json Gateway::denial() {
  if (!readable(control_.get(), milliseconds(3000))) return nullptr;
  const auto message = ipc::receive(control_.get());
  return message && !message->closed ? *ipc::parse(message->text) : nlohmann::json();
}

// ---- clients

Client::Client(std::uint16_t port, const char* address) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval seconds{10, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &seconds, sizeof seconds);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &seconds, sizeof seconds);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &to.sin_addr);
  EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
}

bool Client::secure(const Gateway& gateway, const std::string& sni, const std::string& expected) {
  context_.reset(::SSL_CTX_new(::TLS_client_method()));
  const std::string& ca = gateway.ca();
  BIO* bio = ::BIO_new_mem_buf(ca.data(), static_cast<int>(ca.size()));
  X509* root = ::PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  ::BIO_free(bio);
  ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context_.get()), root);
  ::X509_free(root);
  ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  ssl_.reset(::SSL_new(context_.get()));
  ::SSL_set_fd(ssl_.get(), socket_.get());
  if (!alpn.empty()) {
    ::SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
  }
  const std::string& name = expected.empty() ? sni : expected;
  if (!sni.empty()) SSL_set_tlsext_host_name(ssl_.get(), sni.c_str());
  X509_VERIFY_PARAM* check = ::SSL_get0_param(ssl_.get());
  if (::X509_VERIFY_PARAM_set1_ip_asc(check, name.c_str()) != 1) ::SSL_set1_host(ssl_.get(), name.c_str());
  const bool done = ::SSL_connect(ssl_.get()) == 1;
  ::ERR_clear_error();
  return done;
}

bool Client::send(std::string_view bytes) {
  if (!ssl_) return put(socket_.get(), bytes);
  while (!bytes.empty()) {
    std::size_t n = 0;
    if (::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) != 1) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

std::size_t Client::read(char* into, std::size_t size) {
  std::size_t n = 0;
  if (ssl_) return ::SSL_read_ex(ssl_.get(), into, size, &n) == 1 ? n : 0;
  const ssize_t got = ::recv(socket_.get(), into, size, 0);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::optional<Reply> Client::reply(std::string_view method) {
  http::ResponseReader reader(method);
  Reply out;
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    while (!left_.empty() && reader.state() != http::State::done) {
      const auto taken = reader.feed(left_, out.body);
      if (!taken) return std::nullopt;
      left_.erase(0, *taken);
      if (*taken == 0 && reader.state() == http::State::head) break;
    }
    if (reader.state() == http::State::done) break;
    const std::size_t n = read(buffer.data(), buffer.size());
    if (n == 0) return std::nullopt;
    left_.append(buffer.data(), n);
  }
  out.status = reader.head().status;
  out.headers = reader.head().headers;
  out.keep_alive = reader.head().keep_alive;
  return out;
}

std::string Client::raw(std::size_t at_most) {
  std::string out = std::exchange(left_, {});
  if (!out.empty()) return out;
  out.resize(at_most);
  out.resize(read(out.data(), out.size()));
  return out;
}

bool Client::ended() {
  char byte = 0;
  if (!left_.empty()) return false;
  if (read(&byte, 1) != 0) return false;
  return errno != EAGAIN;  // the timeout is no end
}

void Client::close() {
  ssl_.reset();
  socket_.reset();
}

void Client::half_close() {
  ::shutdown(socket_.get(), SHUT_WR);
}

std::string get(const std::string& host, const std::string& path, const std::string& more) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

std::string post(const std::string& host, const std::string& path, std::string_view body) {
  return "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

std::string Reply::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string dns_query(std::uint16_t id, const std::string& name) {
  std::string out{static_cast<char>(id >> 8), static_cast<char>(id & 0xff), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    out += static_cast<char>(dot - at);
    out.append(name, at, dot - at);
    at = dot + 1;
  }
  return out + std::string("\0\0\1\0\1", 5);
}

std::string ask_dns(std::string_view query, const char* address) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(53);
  ::inet_pton(AF_INET, address, &to.sin_addr);
  // Connected: an answer from another address than the one asked is dropped.
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return {};
  (void)::send(socket.get(), query.data(), query.size(), 0);
  if (!readable(socket.get(), milliseconds(3000))) return {};
  std::string out(1024, '\0');
  const ssize_t n = ::recv(socket.get(), out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

}  // namespace bulkhead::front
