#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "session/job_signals.h"
#include "session/machine.h"
#include "session/recorded.h"
#include "session/supervisor_class.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t most_shown = 400;

// Why it ended comes last, whatever a hostile workload had it say before.
std::string last_of(std::string_view said) {
  if (said.size() <= most_shown) return escape_for_terminal(said);
  said.remove_prefix(said.size() - most_shown);
  const std::size_t line = said.find('\n');
  return escape_for_terminal(line == said.npos ? said : said.substr(line + 1));
}

}  // namespace

void Supervisor::tell_shim(const shim::ToShim& message) {
  if (!shim_closed_) (void)ipc::send(tier_.control.get(), std::string_view(shim::encode(message)));
}

void Supervisor::on_tier_end(std::size_t) {
  auto status = tier_.process.try_wait();
  if (!status || !*status) return;
  tier_ended_ = true;
  drain_shim();
  on_tier_message(0);
  (void)take_went_on(tier_messages_);
  if (exited_ && exited_->shell() == 0 && options_.saved && options_.saved->make && (*status)->shell() != 0) {
    if (failure_.empty()) failure_ = "the session could not be saved (" + escape_for_terminal(tier_messages_) + ")";
  } else if (exited_) {
    status_ = exited_->shell();
  } else if (shim_failed_) {
    status_ = *shim_failed_;
  } else if (stopped_) {
    status_ = 128 + SIGKILL;
  } else if (failure_.empty()) {
    failure_ = std::string("the ") + name_of(policy_.tier) + " tier ended before the command did (" +
               (tier_messages_.empty() ? "status " + std::to_string((*status)->shell()) : last_of(tier_messages_)) +
               "); `bulkhead doctor` says what this machine lacks";
  }
}

void Supervisor::drain_shim() {
  pollfd p{tier_.control.get(), POLLIN, 0};
  while (!shim_closed_ && ::poll(&p, 1, 0) > 0) on_shim(0);
}

void Supervisor::on_shim(std::size_t) {
  auto message = ipc::receive(tier_.control.get());
  if (!message || message->closed) {
    shim_closed_ = true;
    return;
  }
  auto decoded = shim::decode_to_supervisor(message->text);
  if (!decoded) return stop("the shim inside the session said something that makes no sense");
  if (std::get_if<shim::Ready>(&*decoded) != nullptr && !shim_ready_) {
    shim_ready_ = true;
    if (isolation_->own_kernel() && terminal_->layout().any()) {
      const auto resized = [this](const shim::WindowSize& size) { tell_shim(shim::Window{size}); };
      if (auto done = terminal_->attach(std::move(tier_.terminal), resized); !done) stop(done.error().message);
    } else if (!message->fds.empty()) {
      if (auto done = terminal_->attach(std::move(message->fds[0])); !done) stop(done.error().message);
    } else if (terminal_->layout().any()) {
      stop("the session inside has no pty; is /dev/ptmx usable on this machine?");
    }
  } else if (const auto* listening = std::get_if<shim::Listening>(&*decoded); listening != nullptr && !listening_) {
    listening_ = true;
    if (message->fds.empty()) return stop("the shim inside the session sent no listener");
    if (auto done = give_listener(message->fds[0], listening->devices); !done) stop(done.error().message);
  } else if (const auto* holding = std::get_if<shim::Holding>(&*decoded); holding != nullptr && !listening_) {
    listening_ = true;
    if (auto done = take_commands(holding->devices); !done) stop(done.error().message);
  } else if (const auto* empty = std::get_if<shim::Empty>(&*decoded); empty != nullptr && commands_.begun()) {
    commands_.empty(empty->begun);
  } else if (std::get_if<shim::Started>(&*decoded) != nullptr) {
    // The gate's opening has seen to everything.
  } else if (std::get_if<shim::Stopped>(&*decoded) != nullptr) {
    // Without a terminal there is nobody to give one back to, and the limits go on.
    if (tier_ended_ || !terminal_->layout().any()) return;
    // The job stopped as a whole: give the terminal back and stop with it, as any job does.
    terminal_->suspend();
    stop_as_a_job();
    if (auto done = terminal_->resume(); !done) stop(done.error().message);
    tell_shim(shim::Continue{});
  } else if (const auto* exited = std::get_if<shim::Exited>(&*decoded)) {
    if (exited_) return;
    exited_ = *exited;
    terminal_->end_input();
    finish_at_ = Clock::now() + term_grace;
  } else if (const auto* failed = std::get_if<shim::Failed>(&*decoded)) {
    if (failed->code == exit_not_found || failed->code == exit_not_executable) {
      if (!shim_failed_) not_executed_ = escape_for_terminal(failed->text);
      shim_failed_ = failed->code;
    } else if (failure_.empty()) {
      failure_ = escape_for_terminal(failed->text);
    }
  }
}

void Supervisor::on_holder(std::size_t) {
  auto message = ipc::receive(room_.control.get());
  if (!message || message->closed) return room_.control.reset();  // its end follows
  auto object = ipc::parse(message->text);
  if (!object || object->value("type", "") != "denied") {
    return stop("the room's holder said something that makes no sense, so the session was stopped");
  }
  const std::string what = object->value("what", "");
  denials_.add(object->value("count", std::uint64_t{1}), what, object->value("why", ""), "");
  (void)recorder_->record("ipc.refused", {{"what", what}});
}

void Supervisor::on_holder_end(std::size_t) {
  auto status = room_.holder.try_wait();
  if (!status || !*status || ending_) return;
  std::string printed;
  collect(room_.messages, printed);
  stop(death("the room's holder", **status, printed));
}

Result<void> Supervisor::give_listener(const UniqueFd& listener, const std::vector<std::uint64_t>& devices) {
  const int fd = listener.get();
  BH_CHECK(tell_own(devices));
  return ipc::send(room_.control.get(), nlohmann::json{{"type", "listen"}}, std::span(&fd, 1));
}

Result<void> Supervisor::tell_own(const std::vector<std::uint64_t>& devices) {
  return ipc::send(room_.control.get(), nlohmann::json{{"type", "own"}, {"devices", devices}});
}

Result<void> Supervisor::take_commands(const std::vector<std::uint64_t>& devices) {
  if (!options_.announce) return fail("the shim inside the session said something that makes no sense");
  if (!isolation_->own_kernel()) BH_CHECK(tell_own(devices));
  // Never waited for: what is inside could keep it from being read.
  BH_CHECK(sys::set_nonblocking(tier_.control.get(), true));
  Commands::Session session;
  session.setup = std::move(setup_);
  for (const TokenSlot& token : credentials_.tokens) {
    const auto credential = policy_.credentials.find(token.credential);
    if (credential == policy_.credentials.end()) continue;
    session.fixed.insert(credential->second.expose_env);
    session.fixed.insert(credential->second.expose_secret_env);
  }
  session.shim = tier_.control.get();
  session.holder = room_.control.get();
  session.stream = std::move(tier_.terminal);
  session.wake = [this] { return wake(); };
  commands_.begin(std::move(session), *recorder_);
  BH_CHECK(sys::write_all(*options_.announce, directory_.id() + "\n", "the session's id"));
  (void)::close(*options_.announce);
  return let_go_of_stdio();
}

}  // namespace bulkhead::session
