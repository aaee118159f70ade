#include "gateway/egress/egress.h"

#include <errno.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/context.h"
#include "gateway/egress/lane_session.h"
#include "gateway/egress/limits.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

struct Egress::Impl {
  Impl(asio::io_context& io, EgressProxy upstream_proxy, Parts parts)
      : io_(io),
        recorder(std::move(parts.evidence)),
        trust(std::move(parts.ca_bundle), std::move(parts.upstream_ca)),
        pool(io, parts.timeouts),
        proxy(std::move(upstream_proxy)),
        control(io),
        supervisor(io),
        evidence_watch(io),
        patience(io),
        most_lanes(parts.max_lanes) {}

  // Reading from evidence's socket would steal nothing (egress never asks for a sync), but nothing may come either.
  void watch(asio::posix::stream_descriptor& descriptor, const char* who) {
    descriptor.async_wait(asio::posix::descriptor_base::wait_read, [this, who](boost::system::error_code ec) {
      if (!ec) context->halt(std::string(who) + " is gone");
    });
  }

  // The session is over. The answer to a refresh that is on its way may be what the host's login hangs on, so it has a
  // moment to come in and be stored.
  void end(const std::string& why) {
    using std::chrono::steady_clock;
    const bool refreshing = context->login && context->login->under_way();
    if (patient_until == steady_clock::time_point()) patient_until = steady_clock::now() + last_refresh;
    if (!refreshing || steady_clock::now() >= patient_until) return context->halt(why);
    patience.expires_after(look_again);
    patience.async_wait([this, why](boost::system::error_code ec) {
      if (!ec && !context->stopped) end(why);
    });
  }

  // What the supervisor says once the session runs.
  void listen() {
    supervisor.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code ec) {
      if (ec || context->stopped) return;
      auto message = ipc::receive(supervisor.native_handle());
      if (!message && message.error().code == EAGAIN) return listen();
      if (!message || message->closed) return end("the supervisor is gone");
      const auto object = ipc::parse(message->text);
      Result<GrantsUpdate> update = tl::unexpected(Error{"not a JSON object", 0});
      if (object) update = grants_update_from(*object);
      if (!update) return context->halt("the supervisor sent something that is no update: " + update.error().message);
      apply(std::move(*update));
      listen();
    });
  }

  void apply(GrantsUpdate update) {
    permits->replace(update.grants);
    const std::size_t cut = context->live.apply(update);
    pool.clear();
    if (update.forget) {
      context->header.reset();
      context->signer.reset();
      if (context->issued) context->issued->forget();
      if (context->login) context->login->forget();
      context->patterns = Patterns();
      context->plain_patterns = Patterns();
      proxy.forget();
    }
    const nlohmann::json answer{{"type", "applied"}, {"number", update.number}, {"cut", cut}};
    if (!ipc::send(supervisor.native_handle(), answer)) context->halt("the supervisor is gone");
  }

  void accept() {
    control.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code ec) {
      if (ec || context->stopped) return;
      auto message = ipc::receive(control.native_handle());
      if (!message && message.error().code == EAGAIN) return accept();
      if (!message) return context->halt("lanes: " + message.error().message);
      if (message->closed) return end("front is gone");
      const auto object = ipc::parse(message->text);
      if (!object || object->value("type", nlohmann::json()) != "lane" || message->fds.size() != 1) {
        return context->halt("lanes: front sent something that is no lane");
      }
      open(std::move(message->fds[0]));
      accept();
    });
  }

  void open(UniqueFd fd) {
    if (context->lanes >= most_lanes) return;  // closing it is the answer
    context->scratch.resize(transfer);
    Frames::Socket socket(io_);
    boost::system::error_code ec;
    socket.assign(asio::local::stream_protocol(), fd.get(), ec);
    if (ec) return;
    (void)fd.release();
    const auto session = std::make_shared<LaneSession>(context, std::move(socket));
    asio::co_spawn(io_, [session] { return session->run(); }, rethrow);
  }

  asio::io_context& io_;
  evidence::Recorder recorder;
  Trust trust;
  Pool pool;
  std::unique_ptr<Resolver> resolver;
  UpstreamProxy proxy;
  std::unique_ptr<Permits> permits;
  std::unique_ptr<Dialer> dialer;
  std::shared_ptr<Context> context;
  asio::posix::stream_descriptor control, supervisor, evidence_watch;
  asio::steady_timer patience;
  std::chrono::steady_clock::time_point patient_until;
  const std::size_t most_lanes;
  TokenSlot slot;
};

Egress::Egress(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Egress::~Egress() {
  if (impl_) (void)impl_->evidence_watch.release();  // the recorder's
}

Result<std::unique_ptr<Egress>> Egress::create(asio::io_context& io, EgressConfig config, Parts parts) {
  BH_CHECK(sys::set_nonblocking(parts.control.get(), true));
  UniqueFd control = std::move(parts.control), supervisor = std::move(parts.supervisor);
  AddressCheck check = std::move(parts.address_check);
  auto stop = std::move(parts.stop);
  const Timeouts timeouts = parts.timeouts;
  auto impl = std::make_unique<Impl>(io, std::move(config.proxy), std::move(parts));
  BH_TRY(impl->resolver, Resolver::create(io, config.dns_servers, timeouts.dns));

  impl->permits = std::make_unique<Permits>(config.grants, config.credential, config.slot);
  impl->dialer =
      std::make_unique<Dialer>(io, *impl->resolver, impl->trust, impl->pool, impl->proxy, std::move(check), timeouts);
  impl->context.reset(new Context{.io = io,
                                  .credential = config.credential,
                                  .header = std::nullopt,
                                  .signer = std::nullopt,
                                  .issued = std::nullopt,
                                  .login = nullptr,
                                  .patterns = Patterns(),
                                  .plain_patterns = Patterns(),
                                  .permits = *impl->permits,
                                  .dialer = *impl->dialer,
                                  .proxy = impl->proxy,
                                  .pool = impl->pool,
                                  .recorder = impl->recorder,
                                  .stop = std::move(stop)});
  if (!config.credential.empty() && config.slot.issued) impl->context->issued.emplace(config.slot);
  if (config.login) impl->context->login = std::make_unique<HeldLogin>(io, *config.login, config.slot);
  boost::system::error_code ec;
  impl->control.assign(control.get(), ec);
  if (!ec) (void)control.release();
  if (!ec) impl->supervisor.assign(supervisor.get(), ec);
  if (!ec) (void)supervisor.release();
  if (!ec) impl->evidence_watch.assign(impl->recorder.socket(), ec);
  if (ec) return fail("egress: " + ec.message(), ec.value());
  impl->slot = std::move(config.slot);
  return std::unique_ptr<Egress>(new Egress(std::move(impl)));
}

Result<void> Egress::give(const Secret& secret) {
  if (impl_->slot.carrier == Credential::Carrier::sigv4) {
    BH_TRY(impl_->context->signer, Signer::make(secret, impl_->slot));
  } else {
    BH_TRY(impl_->context->header, exchange(impl_->slot, secret));
  }
  impl_->context->patterns = Patterns(secret, impl_->slot);
  impl_->context->plain_patterns = impl_->proxy.patterns();
  impl_->context->plain_patterns.add(secret, impl_->slot);
  return {};
}

Result<void> Egress::give_login(LoginTokens tokens, UniqueFd socket) {
  Context& context = *impl_->context;
  if (!context.login || !context.issued) return fail("a login where none is expected");
  BH_CHECK(context.login->give(std::move(tokens), std::move(socket), *context.issued));
  context.take_out_issued();
  return {};
}

Result<void> Egress::give_proxy(const Secret& secret) {
  BH_CHECK(impl_->proxy.give(secret));
  impl_->context->plain_patterns.add(secret, impl_->proxy.slot());
  return {};
}

void Egress::start() {
  (void)sys::set_nonblocking(impl_->supervisor.native_handle(), true);
  impl_->listen();
  impl_->watch(impl_->evidence_watch, "evidence");
  impl_->accept();
}

}  // namespace bulkhead::egress
