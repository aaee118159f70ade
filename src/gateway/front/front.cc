#include "gateway/front/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <deque>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/front/connection.h"
#include "gateway/front/dns_server.h"
#include "gateway/grant/host.h"
#include "gateway/question.h"

namespace bulkhead::front {
namespace {

constexpr int accepted_at_once = 64;

std::optional<std::string> canonical_name(std::string_view name) {
  auto host = grant::canonical_host(name);
  if (!host || host->front() == '[' ||
      std::all_of(host->begin(), host->end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; })) {
    return std::nullopt;  // an address is no name
  }
  return host;
}

std::vector<std::string> granted_hosts(const std::vector<Grant>& grants) {
  std::vector<std::string> hosts;
  for (const Grant& grant : grants) hosts.insert(hosts.end(), grant.hosts.begin(), grant.hosts.end());
  return hosts;
}

std::optional<Destination> destination_of(int socket, const NameTable& names) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  char text[INET6_ADDRSTRLEN] = "";
  Destination out;
  const std::string* name = nullptr;
  if (storage.ss_family == AF_INET) {
    const auto* in4 = reinterpret_cast<const sockaddr_in*>(&storage);
    Address4 address;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&in4->sin_addr), address.size(), address.begin());
    ::inet_ntop(AF_INET, &in4->sin_addr, text, sizeof text);
    out.port = ntohs(in4->sin_port);
    name = names.name_of(address);
  } else if (storage.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    Address6 address;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&in6->sin6_addr), address.size(), address.begin());
    ::inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    out.port = ntohs(in6->sin6_port);
    name = names.name_of(address);
  } else {
    return std::nullopt;
  }
  out.address = text;
  if (name != nullptr) out.name = *name;
  return out;
}

}  // namespace

struct Front::Impl {
  Impl(asio::io_context& io_, tls::SessionCa ca_, FrontConfig& config, Parts& parts, const Limits& limits)
      : io(io_),
        ca(std::move(ca_)),
        leaves(ca, granted_hosts(config.grants), limits.leaves),
        listeners(config.listeners),
        sockets(std::move(parts.listeners)),
        supervisor(io_, parts.supervisor.release()),
        evidence_watch(io_),
        tick(io_),
        last_tick(io_) {}

  // Denials are for people: when the supervisor is busy they wait, and the workload doesn't.
  bool tell(const nlohmann::json& message) { return static_cast<bool>(ipc::send(supervisor.native_handle(), message)); }

  void watch(Descriptor& descriptor, const char* who) {
    descriptor.async_wait(Wait::wait_read, [this, who](boost::system::error_code error) {
      if (!error) end(std::string(who) + " is gone");
    });
  }

  void end(const std::string& why) {
    shared->denied.flush(Clock::time_point::max());  // the supervisor may still listen
    shared->under_way.record_all();
    shared->halt(why);
  }

  // What the supervisor says once the session runs.
  void listen() {
    supervisor.async_wait(Wait::wait_read, [this](boost::system::error_code error) {
      if (error || shared->stopped) return;
      auto message = ipc::receive(supervisor.native_handle());
      if (!message && message.error().code == EAGAIN) return listen();
      if (!message || message->closed) return end("the supervisor is gone");
      const auto object = ipc::parse(message->text);
      if (object && shared->questions && object->value("type", "") == "answered") {
        const auto number = question_word_from(*object);
        if (!number) return end("the supervisor answered what nobody asked: " + number.error().message);
        shared->questions->answered(*number);
        return listen();
      }
      Result<GrantsUpdate> update = tl::unexpected(Error{"not a JSON object", 0});
      if (object) update = grants_update_from(*object);
      if (!update) return end("the supervisor sent something that is no update: " + update.error().message);
      apply(std::move(*update));
      listen();
    });
  }

  void apply(GrantsUpdate update) {
    leaves.grant(granted_hosts(update.grants));
    const std::size_t cut = shared->live.apply(update);
    shared->retired.push_back(std::move(shared->grants));
    shared->grants = std::move(update.grants);
    shared->withdrawn = std::move(update.withdrawn);
    (void)say({{"type", "applied"}, {"number", update.number}, {"cut", cut}}, true);
  }

  // Behind a flood of denials it waits for its place, in order. False: it is not to wait, and would have to.
  bool say(const nlohmann::json& message, bool may_wait) {
    if (unsaid.empty() && tell(message)) return true;
    if (!may_wait) return false;
    unsaid.push_back(message);
    if (unsaid.size() == 1) say_later();
    return true;
  }

  void say_later() {
    supervisor.async_wait(Wait::wait_write, [this](boost::system::error_code error) {
      if (error || shared->stopped) return;
      while (!unsaid.empty() && tell(unsaid.front())) unsaid.pop_front();
      if (!unsaid.empty()) say_later();
    });
  }

  // Its requests in flight end first, and are recorded; the supervisor sees by itself that the
  // process died.
  void watch_egress(Descriptor& descriptor, const std::string& credential) {
    descriptor.async_wait(Wait::wait_read, [this, credential](boost::system::error_code error) {
      if (error) return;
      last_tick.expires_after(shared->limits.tick);
      last_tick.async_wait([this, credential](boost::system::error_code cancelled) {
        if (cancelled) return;
        shared->denied.flush(Clock::time_point::max());
        shared->halt(credential.empty() ? "egress is gone" : "egress " + credential + " is gone");
      });
    });
  }

  const tls::ServerContext* tls_context() {
    if (!tls) {
      auto made = tls::ServerContext::make(ca, leaves, canonical_name);
      if (!made) {
        shared->halt(made.error().message);
        return nullptr;
      }
      tls.emplace(std::move(*made));
    }
    return &*tls;
  }

  // Deadlines are looked at only while there is something that has one.
  void keep_ticking() {
    if (ticking || (shared->streams.empty() && !shared->denied.pending())) return;
    ticking = true;
    tick.expires_after(shared->limits.tick);
    tick.async_wait([this](boost::system::error_code error) {
      ticking = false;
      if (error || shared->stopped) return;
      const auto now = Clock::now();
      for (Stream* stream : shared->streams) stream->check_deadline(now);
      shared->denied.flush(now);
      keep_ticking();
    });
  }

  Task<void> accept(UniqueFd listener, std::uint16_t port) {
    Descriptor descriptor(io, listener.release());
    for (;;) {
      auto [error] = co_await descriptor.async_wait(Wait::wait_read, no_throw);
      if (error || shared->stopped) co_return;
      bool exhausted = false;  // no descriptors left
      for (int i = 0; i < accepted_at_once && shared->connections < shared->limits.connections; ++i) {
        UniqueFd socket(::accept4(descriptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) {
          exhausted = errno == EMFILE || errno == ENFILE;
          break;
        }
        begin(std::move(socket), port);
      }
      // The rest waits in the backlog; so do we when descriptors have run out.
      if (exhausted || shared->connections >= shared->limits.connections) {
        Timer pause(io, shared->limits.tick);
        co_await pause.async_wait(no_throw);
      }
    }
  }

  void begin(UniqueFd socket, std::uint16_t port) {
    const int on = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (port == 53) {
      asio::co_spawn(io, serve_dns(std::move(socket)), asio::detached);
    } else {
      auto destination = destination_of(socket.get(), shared->names);
      if (!destination) return;
      const auto connection = std::make_shared<Connection>(*shared, std::move(socket), std::move(*destination));
      asio::co_spawn(io, [connection]() -> Task<void> { co_await connection->run(); }, asio::detached);
    }
    keep_ticking();
  }

  Task<void> serve_dns(UniqueFd socket) {
    Stream stream(io, std::move(socket));
    ++shared->connections;
    shared->streams.insert(&stream);
    co_await serve_dns_tcp(stream, *dns, shared->limits.handshake);
    shared->streams.erase(&stream);
    --shared->connections;
  }

  asio::io_context& io;
  tls::SessionCa ca;
  tls::Leaves leaves;
  std::optional<tls::ServerContext> tls;
  std::optional<Shared> shared;
  std::optional<Dns> dns;
  std::vector<Listener> listeners;
  std::vector<UniqueFd> sockets;
  Descriptor supervisor, evidence_watch;
  std::vector<std::pair<Descriptor, std::string>> egress_watch;  // with the credential's name
  Timer tick, last_tick;
  bool ticking = false;
  std::deque<nlohmann::json> unsaid;  // to the supervisor; no more than what it asked for and what it was asked
};

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Front::~Front() {
  if (impl_ && impl_->evidence_watch.is_open()) (void)impl_->evidence_watch.release();  // the recorder's
}

Result<std::unique_ptr<Front>> Front::create(asio::io_context& io, FrontConfig config, Parts parts, Limits limits) {
  if (parts.listeners.size() != config.listeners.size() || parts.egress.size() != config.egress.size()) {
    return fail("front: the configuration and its descriptors do not match");
  }
  if (!parts.ca) return fail("front: there is no CA");
  BH_CHECK(sys::set_nonblocking(parts.supervisor.get(), true));
  for (const UniqueFd& socket : parts.listeners) BH_CHECK(sys::set_nonblocking(socket.get(), true));
  auto impl = std::make_unique<Impl>(io, std::move(*parts.ca), config, parts, limits);
  Impl& i = *impl;
  i.shared.emplace(Shared{
      .io = io,
      .limits = limits,
      .grants = std::move(config.grants),
      .tokens = std::move(config.tokens),
      .recorder = evidence::Recorder(std::move(parts.evidence)),
      .names = NameTable(limits.names),
      .tls = [&i] { return i.tls_context(); },
      .denied = DeniedReports([&i](const nlohmann::json& message) { return i.tell(message); }, limits.denials,
                              limits.denial_interval),
      .stop = std::move(parts.stop),
  });
  if (config.ask) {
    i.shared->questions.emplace([&i](const nlohmann::json& message, bool may_wait) { return i.say(message, may_wait); },
                                limits.questions, limits.questions_per_second);
  }
  for (std::size_t n = 0; n < config.egress.size(); ++n) {
    BH_TRY(UniqueFd watched, sys::duplicate(parts.egress[n].get()));
    i.egress_watch.emplace_back(Descriptor(io, watched.release()), config.egress[n]);
    i.shared->egress.emplace(
        config.egress[n],
        std::make_unique<LanePool>(io, std::move(parts.egress[n]), LanePool::Bounds{limits.lanes, limits.idle_lanes}));
  }
  const bool ipv6 =
      std::any_of(i.listeners.begin(), i.listeners.end(), [](const Listener& l) { return l.ipv6 && l.stream; });
  i.dns.emplace(i.shared->names, Dns::Options{.canonical = canonical_name,
                                              .granted =
                                                  [&i](std::string_view name) {
                                                    return std::any_of(i.shared->grants.begin(), i.shared->grants.end(),
                                                                       [&](const Grant& g) {
                                                                         return grant::any_host_matches(g.hosts, name);
                                                                       });
                                                  },
                                              .ipv6 = ipv6,
                                              .first_query =
                                                  [&i](std::string_view name, std::string_view type) {
                                                    (void)i.shared->record("dns.query", {{"name", std::string(name)},
                                                                                         {"kind", std::string(type)}});
                                                  }});
  boost::system::error_code ec;
  i.evidence_watch.assign(i.shared->recorder.socket(), ec);
  if (ec) return fail("front: " + ec.message(), ec.value());
  return std::unique_ptr<Front>(new Front(std::move(impl)));
}

void Front::start() {
  Impl& i = *impl_;
  i.listen();
  i.watch(i.evidence_watch, "evidence");
  for (auto& [descriptor, credential] : i.egress_watch) i.watch_egress(descriptor, credential);
  for (std::size_t n = 0; n < i.listeners.size(); ++n) {
    const Listener& listener = i.listeners[n];
    if (listener.stream) {
      asio::co_spawn(i.io, i.accept(std::move(i.sockets[n]), listener.port), asio::detached);
    } else {
      asio::co_spawn(i.io, serve_dns_udp(i.io, std::move(i.sockets[n]), listener.ipv6, *i.dns), asio::detached);
    }
  }
  i.sockets.clear();
}

}  // namespace bulkhead::front
