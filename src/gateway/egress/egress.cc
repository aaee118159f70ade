#include "gateway/egress/egress.h"

#include <errno.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/context.h"
#include "gateway/egress/lane_session.h"
#include "gateway/egress/limits.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

struct Egress::Impl {
  Impl(asio::io_context& io, Parts parts)
      : io_(io),
        recorder(std::move(parts.evidence)),
        trust(std::move(parts.ca_bundle), std::move(parts.upstream_ca)),
        pool(io, parts.timeouts),
        control(io),
        supervisor(io),
        evidence_watch(io),
        most_lanes(parts.max_lanes) {}

  // Reading from evidence's socket would steal nothing (egress never asks for a sync), but nothing may come either.
  void watch(asio::posix::stream_descriptor& descriptor, const char* who) {
    descriptor.async_wait(asio::posix::descriptor_base::wait_read, [this, who](boost::system::error_code ec) {
      if (!ec) context->halt(std::string(who) + " is gone");
    });
  }

  void accept() {
    control.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code ec) {
      if (ec || context->stopped) return;
      auto message = ipc::receive(control.native_handle());
      if (!message && message.error().code == EAGAIN) return accept();
      if (!message) return context->halt("lanes: " + message.error().message);
      if (message->closed) return context->halt("front is gone");
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
  std::unique_ptr<Permits> permits;
  std::unique_ptr<Dialer> dialer;
  std::shared_ptr<Context> context;
  asio::posix::stream_descriptor control, supervisor, evidence_watch;
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
  auto impl = std::make_unique<Impl>(io, std::move(parts));
  BH_TRY(impl->resolver, Resolver::create(io, config.dns_servers, timeouts.dns));

  impl->permits = std::make_unique<Permits>(config.grants, config.credential, config.slot);
  impl->dialer = std::make_unique<Dialer>(io, *impl->resolver, impl->trust, impl->pool, std::move(check), timeouts);
  impl->context.reset(new Context{.io = io,
                                  .credential = config.credential,
                                  .header = std::nullopt,
                                  .patterns = Patterns(),
                                  .permits = *impl->permits,
                                  .dialer = *impl->dialer,
                                  .pool = impl->pool,
                                  .recorder = impl->recorder,
                                  .stop = std::move(stop)});
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
  BH_TRY(impl_->context->header, exchange(impl_->slot, secret));
  impl_->context->patterns = Patterns(secret, impl_->slot);
  return {};
}

void Egress::start() {
  impl_->watch(impl_->supervisor, "the supervisor");
  impl_->watch(impl_->evidence_watch, "evidence");
  impl_->accept();
}

}  // namespace bulkhead::egress
