#include "gateway/egress/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <map>

#include "base/text.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

namespace {

constexpr int dns_in = 1, dns_a = 1, dns_aaaa = 28;  // RFC 1035, RFC 3596
constexpr int max_addresses = 32;                    // per family
// How long a missing AAAA may hold up an A that is there (RFC 8305 §3 calls it the resolution delay).
constexpr std::chrono::milliseconds patience{250};

std::string without_brackets(const std::string& host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

Result<ares_addr_port_node> parse_server(const std::string& text) {
  boost::system::error_code ec;
  auto address = asio::ip::make_address(without_brackets(text), ec);
  unsigned port = 53;
  if (ec) {
    const std::size_t colon = text.rfind(':');
    address = asio::ip::make_address(without_brackets(text.substr(0, colon)), ec);
    const std::string digits = colon == std::string::npos ? "" : text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (ec || error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535) {
      return fail("\"" + escape_for_terminal(text) + "\" is no DNS server: write ADDRESS or ADDRESS:PORT");
    }
  }
  ares_addr_port_node node{};
  node.udp_port = node.tcp_port = static_cast<int>(port);
  if (address.is_v4()) {
    node.family = AF_INET;
    ::memcpy(&node.addr, address.to_v4().to_bytes().data(), 4);
  } else {
    node.family = AF_INET6;
    ::memcpy(&node.addr, address.to_v6().to_bytes().data(), 16);
  }
  return node;
}

// One resolve() in flight. c-ares holds a share per query and may call long after the coroutine gave up.
struct Lookup {
  explicit Lookup(asio::io_context& io) : wake(io) {}
  std::vector<asio::ip::address> v4, v6;
  bool have_v4 = false, have_v6 = false;
  int status = ARES_SUCCESS;  // of the first query that failed
  asio::steady_timer wake;
};

struct Query {
  std::shared_ptr<Lookup> lookup;
  int type;
};

void on_answer(void* argument, int status, int, unsigned char* packet, int size) {
  const std::unique_ptr<Query> query(static_cast<Query*>(argument));
  Lookup& lookup = *query->lookup;
  int count = max_addresses;
  if (query->type == dns_a) {
    ares_addrttl found[max_addresses];
    if (status == ARES_SUCCESS) status = ::ares_parse_a_reply(packet, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      lookup.v4.emplace_back(asio::ip::address_v4(ntohl(found[i].ipaddr.s_addr)));
    }
    lookup.have_v4 = true;
  } else {
    ares_addr6ttl found[max_addresses];
    if (status == ARES_SUCCESS) status = ::ares_parse_aaaa_reply(packet, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      asio::ip::address_v6::bytes_type bytes;
      ::memcpy(bytes.data(), &found[i].ip6addr, bytes.size());
      lookup.v6.emplace_back(asio::ip::address_v6(bytes));
    }
    lookup.have_v6 = true;
  }
  if (status != ARES_SUCCESS && lookup.status == ARES_SUCCESS) lookup.status = status;
  lookup.wake.cancel();
}

Error explain(const std::string& host, int status, bool timed_out) {
  const std::string name = "resolve \"" + escape_for_terminal(host) + "\": ";
  if (timed_out || status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED) {
    return {name + "no DNS server answered; see dns_servers in the policy", ETIMEDOUT};
  }
  if (status == ARES_ENOTFOUND) return {name + "no such name", ENOENT};
  if (status == ARES_SUCCESS || status == ARES_ENODATA) return {name + "the name has no address", ENOENT};
  return {name + ::ares_strerror(status), EIO};
}

}  // namespace

struct Resolver::Impl {
  // One of c-ares's sockets. c-ares owns the descriptor; ours is only the registration with the event loop.
  struct Watch : std::enable_shared_from_this<Watch> {
    Watch(Impl* owner_, int fd_) : owner(owner_), fd(fd_), descriptor(owner_->io, fd_) {}
    void wait_readable() {
      reading = true;
      descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                            [self = shared_from_this()](boost::system::error_code ec) { self->ready(ec, true); });
    }
    void wait_writable() {
      writing = true;
      descriptor.async_wait(asio::posix::descriptor_base::wait_write,
                            [self = shared_from_this()](boost::system::error_code ec) { self->ready(ec, false); });
    }
    void ready(boost::system::error_code ec, bool readable) {
      (readable ? reading : writing) = false;
      if (ec || owner == nullptr) return;
      Impl* impl = owner;  // c-ares may close this socket, and with it this registration, inside the call
      ::ares_process_fd(impl->channel, readable ? fd : ARES_SOCKET_BAD, readable ? ARES_SOCKET_BAD : fd);
      if (owner != nullptr && want_read && !reading) wait_readable();
      if (owner != nullptr && want_write && !writing) wait_writable();
      impl->arm();
    }
    void forget() {
      owner = nullptr;
      (void)descriptor.release();  // cancels the waits, leaves the descriptor to c-ares
    }
    Impl* owner;
    int fd;
    asio::posix::stream_descriptor descriptor;
    bool want_read = false, want_write = false, reading = false, writing = false;
  };

  explicit Impl(asio::io_context& context) : io(context), timer(context) {}
  ~Impl() {
    if (channel != nullptr) ::ares_destroy(channel);  // ends every query with ARES_EDESTRUCTION, closes every socket
    for (auto& [fd, watch] : watches) watch->forget();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static void on_socket(void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<Impl*>(self)->watch(fd, readable != 0, writable != 0);
  }

  void watch(int fd, bool readable, bool writable) {
    auto at = watches.find(fd);
    if (!readable && !writable) {
      if (at == watches.end()) return;
      at->second->forget();
      watches.erase(at);
      return;
    }
    if (at == watches.end()) at = watches.emplace(fd, std::make_shared<Watch>(this, fd)).first;
    Watch& w = *at->second;
    w.want_read = readable;
    w.want_write = writable;
    if (readable && !w.reading) w.wait_readable();
    if (writable && !w.writing) w.wait_writable();
  }

  void arm() {
    timeval tv{};
    if (::ares_timeout(channel, nullptr, &tv) == nullptr) {
      timer.cancel();
      return;
    }
    timer.expires_after(std::chrono::seconds(tv.tv_sec) + std::chrono::microseconds(tv.tv_usec + 1000));
    timer.async_wait([this](boost::system::error_code ec) {
      if (ec) return;  // re-armed, or this is gone
      ::ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      arm();
    });
  }

  asio::io_context& io;
  asio::steady_timer timer;
  std::chrono::milliseconds timeout{0};
  ares_channel channel = nullptr;
  std::map<int, std::shared_ptr<Watch>> watches;
};

Resolver::Resolver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Resolver::~Resolver() = default;

Result<std::unique_ptr<Resolver>> Resolver::create(asio::io_context& io, const std::vector<std::string>& servers,
                                                   std::chrono::milliseconds timeout) {
  if (servers.empty()) return fail("no DNS server is known; name one as dns_servers in the policy");
  std::vector<ares_addr_port_node> nodes;
  for (const std::string& server : servers) {
    BH_TRY(nodes.emplace_back(), parse_server(server));
  }
  for (std::size_t i = 0; i + 1 < nodes.size(); ++i) nodes[i].next = &nodes[i + 1];

  auto impl = std::make_unique<Impl>(io);
  impl->timeout = timeout;
  // Everything that c-ares would otherwise look up in files or the environment is said here.
  char lookups[] = "b";
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
  options.ednspsz = 1232;                                   // fits every path without fragments (DNS flag day 2020)
  options.timeout = static_cast<int>(timeout.count() / 3);  // doubled for the second try: 1/3 + 2/3
  options.tries = 2;
  options.ndots = 1;
  options.lookups = lookups;
  options.sock_state_cb = &Impl::on_socket;
  options.sock_state_cb_data = impl.get();
  const int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS;
  if (const int status = ::ares_init_options(&impl->channel, &options, mask); status != ARES_SUCCESS) {
    impl->channel = nullptr;
    return fail(std::string("c-ares: ") + ::ares_strerror(status));
  }
  if (const int status = ::ares_set_servers_ports(impl->channel, nodes.data()); status != ARES_SUCCESS) {
    return fail(std::string("c-ares: ") + ::ares_strerror(status));
  }
  return std::unique_ptr<Resolver>(new Resolver(std::move(impl)));
}

asio::awaitable<Result<std::vector<asio::ip::address>>> Resolver::resolve(std::string host) {
  auto lookup = std::make_shared<Lookup>(impl_->io);
  const auto end = std::chrono::steady_clock::now() + impl_->timeout;
  for (const int type : {dns_a, dns_aaaa}) {
    ::ares_query(impl_->channel, host.c_str(), dns_in, type, &on_answer, new Query{lookup, type});
  }
  impl_->arm();
  bool timed_out = false;
  while (!lookup->have_v4 || !lookup->have_v6) {
    const bool enough = !lookup->v4.empty() || !lookup->v6.empty();
    lookup->wake.expires_at(enough ? std::min(end, std::chrono::steady_clock::now() + patience) : end);
    boost::system::error_code ec;
    co_await lookup->wake.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) {  // the timer ran out; on_answer() cancels it
      timed_out = !enough;
      break;
    }
  }
  std::vector<asio::ip::address> addresses = std::move(lookup->v4);
  addresses.insert(addresses.end(), lookup->v6.begin(), lookup->v6.end());
  if (addresses.empty()) co_return tl::unexpected(explain(host, lookup->status, timed_out));
  co_return addresses;
}

}  // namespace bulkhead::egress
