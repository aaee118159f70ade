#include "session/commands.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <variant>

#include "base/ipc.h"
#include "base/sys.h"
#include "policy/json.h"
#include "session/terminal/layout.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t max_commands = shim::max_commands;
constexpr rlim_t descriptors = 16 * max_commands;
constexpr auto setup_patience = std::chrono::seconds(30);
constexpr std::size_t max_waiting = 1024;        // messages to one command
constexpr std::size_t max_recorded = 24 * 1024;  // of a command line

// As much of the command line as an event has room for.
nlohmann::json recorded(const std::vector<std::string>& arguments) {
  nlohmann::json out = nlohmann::json::array();
  std::size_t left = max_recorded;
  for (const std::string& argument : arguments) {
    if (left == 0) {
      out.push_back("…");
      break;
    }
    out.push_back(argument.substr(0, left));
    left -= std::min(left, argument.size() + 4);
  }
  return out;
}

std::string name_of_variable(const std::string& variable) {
  return variable.substr(0, variable.find('='));
}

// For so many commands the usual 1024 are too few. Nothing is started here any more that would inherit it.
void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= descriptors) return;
  limit.rlim_cur = std::min(limit.rlim_max, descriptors);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void Commands::begin(Session session, evidence::Recorder& recorder) {
  session_ = std::move(session);
  if (session_.setup.own_kernel) mux_.emplace(std::move(session_.stream));
  recorder_ = &recorder;
  allow_descriptors();
  idle_since_ = Clock::now();
}

void Commands::close(const std::string& why) {
  if (!std::exchange(closed_, true)) why_closed_ = why;
}

void Commands::finish(Clock::time_point until) {
  drain(until);
  for (Command& command : commands_) {
    if (!command.over && !command.recorded_end) (void)lose(command, "the session ended (" + why_closed_ + ")");
  }
  commands_.clear();
}

void Commands::drain(Clock::time_point until) {
  for (;;) {
    const bool some = std::ranges::any_of(commands_, [](const Command& command) { return command.set_up; });
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if ((!some && (!mux_ || mux_->commands() == 0)) || left <= 0) return;
    std::vector<pollfd> fds;
    prepare(fds);
    if (::poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR) return;
    if (auto done = handle(fds); !done && done.error().code != EPIPE) return;
  }
}

Result<void> Commands::lose(Command& command, const std::string& why) {
  tell_client(command, shim::Failed{125, why});
  command.over = true;
  if (!command.set_up) return {};
  return record_end(command, {{"reason", "lost"}});
}

void Commands::start(UniqueFd client, const nlohmann::json& request, std::vector<UniqueFd> fds) {
  auto command = accept(request, fds);
  if (!command) {
    (void)ipc::send(client.get(), nlohmann::json{{"ok", false}, {"error", command.error().message}});
    return;
  }
  if (!ipc::send(client.get(), nlohmann::json{{"ok", true}})) return;
  command->client = std::move(client);
  commands_.push_back(std::move(*command));
}

Result<Commands::Command> Commands::accept(const nlohmann::json& request, std::vector<UniqueFd>& fds) {
  if (!begun())
    return fail("it runs one command, or is still starting; `bulkhead start` makes sessions that take more");
  if (closed_) return fail("it is ending");
  if (commands_.size() >= max_commands) return fail(std::to_string(max_commands) + " commands run in it already");
  BH_CHECK(json_read::keys(request, {"type", "given"}, "the request"));
  BH_TRY(const nlohmann::json* given, json_read::array(request, "given"));
  if (given->size() != 3) return fail("`given` is not about three descriptors");
  Command command;
  std::size_t count = 0;
  int stdio[3] = {-1, -1, -1};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!given->at(i).is_boolean()) return fail("`given` is not true or false");
    command.is_given[i] = given->at(i).get<bool>();
    if (!command.is_given[i]) continue;
    if (count >= fds.size()) return fail("a descriptor is missing");
    stdio[i] = fds[count++].get();
  }
  if (count != fds.size()) return fail("there are more descriptors than are given");
  BH_CHECK(check_stdio(stdio));
  command.given = std::move(fds);
  command.number = ++last_;
  return command;
}

std::optional<Commands::Clock::time_point> Commands::deadline() const {
  std::optional<Clock::time_point> next;
  for (const Command& command : commands_) {
    if (!command.set_up && (!next || command.since + setup_patience < *next)) next = command.since + setup_patience;
  }
  return next;
}

void Commands::check(Clock::time_point now) {
  std::erase_if(commands_,
                [&](const Command& command) { return !command.set_up && now >= command.since + setup_patience; });
  prepared_.clear();
}

void Commands::prepare(std::vector<pollfd>& fds) {
  first_ = fds.size();
  prepared_.clear();
  for (Command& command : commands_) {
    prepared_.push_back(&command);
    fds.push_back({command.client.get(), POLLIN, 0});
    fds.push_back({command.control.get(), static_cast<short>(POLLIN | (command.to_shim.empty() ? 0 : POLLOUT)), 0});
  }
  if (mux_) mux_->prepare(fds);
}

Result<void> Commands::handle(const std::vector<pollfd>& fds) {
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    Command& command = *prepared_[i];
    const pollfd &client = fds[first_ + 2 * i], &control = fds[first_ + 2 * i + 1];
    // What ended is said before who asked is believed to be gone.
    if (control.revents != 0) {
      flush(command);
      if ((control.revents & ~POLLOUT) != 0) BH_CHECK(from_shim(command));
    }
    if (client.revents != 0 && !command.over) BH_CHECK(from_client(command));
  }
  prepared_.clear();
  const bool some = !commands_.empty();
  std::erase_if(commands_, [](const Command& command) { return command.over; });
  if (some && commands_.empty()) idle_since_ = Clock::now();
  if (mux_) BH_CHECK(mux_->handle(fds));
  return {};
}

Result<void> Commands::from_client(Command& command) {
  auto message = ipc::receive(command.client.get());
  if (!message && message.error().code == EAGAIN) return {};
  const bool gone = !message || message->closed;
  if (gone) {
    command.over = true;
    if (!command.set_up) return {};
    return record_end(command, {{"reason", "its caller went away"}});
  }
  if (!command.set_up) {
    Result<void> done;
    const auto last = command.setup.add(message->text);
    if (!last) {
      done = tl::unexpected(last.error());
    } else if (*last) {
      const auto wanted = command.setup.finish();
      done = wanted ? begin_inside(command, *wanted) : tl::unexpected(wanted.error());
    }
    if (!done) {
      tell_client(command, shim::Failed{125, done.error().message});
      command.over = true;
      if (command.set_up) return record_end(command, {{"exit_status", 125}, {"reason", done.error().message}});
    }
    return {};
  }
  const auto decoded = shim::decode_to_shim(message->text);
  // Setup was said already, and commands are not theirs to start here.
  if (!decoded || std::holds_alternative<shim::Run>(*decoded)) {
    command.over = true;
    return record_end(command, {{"reason", "its caller made no sense"}});
  }
  if (command.to_shim.size() >= max_waiting) {
    command.over = true;
    return record_end(command, {{"reason", "its caller said more than it could take"}});
  }
  command.to_shim.push_back(shim::encode(*decoded));
  flush(command);
  return {};
}

Result<shim::Setup> Commands::merged(const shim::Setup& wanted) const {
  if (wanted.arguments.empty()) return fail("no command to run");
  shim::Setup setup = session_.setup;
  setup.hold = false;
  setup.arguments = wanted.arguments;
  for (const std::string& variable : wanted.environment) {
    const std::string name = name_of_variable(variable);
    if (name.empty() || name == variable) return fail("\"" + variable.substr(0, 80) + "\" is no variable");
    if (session_.fixed.contains(name)) return fail("the variable " + name + " holds a token, which the policy sets");
    std::erase_if(setup.environment, [&](const std::string& other) { return name_of_variable(other) == name; });
    setup.environment.push_back(variable);
  }
  if (!wanted.directory.empty()) {
    setup.directory = wanted.directory;
    std::erase_if(setup.environment, [](const std::string& other) { return other.starts_with("PWD="); });
    setup.environment.push_back("PWD=" + setup.directory);
  }
  std::copy(wanted.pty, wanted.pty + 3, setup.pty);
  setup.window = wanted.window;
  setup.plain_pty = setup.own_kernel && wanted.plain_pty;
  setup.mask = wanted.mask;
  return setup;
}

Result<void> Commands::begin_inside(Command& command, const shim::Setup& wanted) {
  BH_TRY(const shim::Setup setup, merged(wanted));
  BH_TRY(const std::vector<std::string> datagrams, shim::encode(setup));
  BH_CHECK(record_start(command, setup));
  command.set_up = true;
  BH_CHECK(session_.wake());
  BH_CHECK(connect(command, setup));
  ++begun_;  // where it could not be told of, the inside has not counted it either
  command.given.clear();
  command.to_shim.assign(datagrams.begin(), datagrams.end());
  flush(command);
  return {};
}

Result<void> Commands::connect(Command& command, const shim::Setup& setup) {
  BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
  command.control = std::move(control.first);
  BH_CHECK(sys::set_nonblocking(command.control.get(), true));
  if (mux_) return connect_stream(command, setup, std::move(control.second));
  shim::Run run;
  std::vector<int> fds{control.second.get()};
  std::copy(command.is_given, command.is_given + 3, run.given);
  for (const UniqueFd& fd : command.given) fds.push_back(fd.get());
  return ipc::send(session_.shim, std::string_view(shim::encode(shim::ToShim(run))), fds);
}

Result<void> Commands::connect_stream(Command& command, const shim::Setup& setup, UniqueFd theirs) {
  shim::Ends ends;
  ends[shim::control] = std::move(theirs);
  std::size_t next = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (command.is_given[i]) ends[shim::input + i] = std::move(command.given[next++]);
  }
  if (setup.pty[0] || setup.pty[1] || setup.pty[2]) {
    BH_TRY(sys::Pair lane, sys::socket_pair(SOCK_STREAM));
    command.lane = std::move(lane.first);
    ends[shim::terminal] = std::move(lane.second);
  }
  return mux_->open(std::move(ends));
}

void Commands::flush(Command& command) {
  while (!command.to_shim.empty() && command.control) {
    const std::string& next = command.to_shim.front();
    const auto sent = ipc::send(command.control.get(), std::string_view(next));
    if (!sent && sent.error().code == EAGAIN) return;
    // An attendant that is gone is found out by reading.
    command.to_shim.pop_front();
  }
}

Result<void> Commands::from_shim(Command& command) {
  auto message = ipc::receive(command.control.get());
  if (!message && message.error().code == EAGAIN) return {};
  if (!message || message->closed) {
    if (!command.recorded_end) {
      if (closed_) return lose(command, "the session ended (" + why_closed_ + ")");
      return lose(command, "the command could not be started, or was killed with what attends to it");
    }
    command.over = true;
    return {};
  }
  const auto decoded = shim::decode_to_supervisor(message->text);
  if (!decoded || std::holds_alternative<shim::Holding>(*decoded) || std::holds_alternative<shim::Empty>(*decoded)) {
    return fail("the shim inside the session said something that makes no sense");
  }
  if (std::holds_alternative<shim::Ready>(*decoded)) {
    const UniqueFd& terminal = mux_ ? command.lane : message->fds.empty() ? command.lane : message->fds[0];
    tell_client(command, *decoded, terminal.get());
    command.lane.reset();
    return {};
  }
  if (std::holds_alternative<shim::Listening>(*decoded)) {
    if (message->fds.empty()) return fail("the shim inside the session sent no listener");
    const int fd = message->fds[0].get();
    return ipc::send(session_.holder, nlohmann::json{{"type", "listen"}}, std::span(&fd, 1));
  }
  tell_client(command, *decoded);
  if (const auto* exited = std::get_if<shim::Exited>(&*decoded)) {
    return record_end(command, {{"exit_status", exited->shell()}});
  }
  if (const auto* failed = std::get_if<shim::Failed>(&*decoded)) {
    return record_end(command, {{"exit_status", failed->code}, {"reason", failed->text}});
  }
  return {};
}

void Commands::tell_client(Command& command, const shim::ToSupervisor& message, int fd) {
  const std::span<const int> fds = fd < 0 ? std::span<const int>() : std::span<const int>(&fd, 1);
  (void)ipc::send(command.client.get(), std::string_view(shim::encode(message)), fds);
}

Result<void> Commands::record_start(const Command& command, const shim::Setup& setup) {
  return recorder_->record("command.start", {{"number", command.number},
                                             {"command", recorded(setup.arguments)},
                                             {"directory", setup.directory},
                                             {"terminal", setup.pty[0] || setup.pty[1] || setup.pty[2]}});
}

Result<void> Commands::record_end(Command& command, const nlohmann::json& how) {
  if (std::exchange(command.recorded_end, true)) return {};
  nlohmann::json fields = how;
  fields["number"] = command.number;
  return recorder_->record("command.end", fields);
}

}  // namespace bulkhead::session
