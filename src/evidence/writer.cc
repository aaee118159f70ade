#include "evidence/writer.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {

namespace {

using std::chrono::duration;
using std::chrono::milliseconds;

constexpr std::string_view supervisor_name = "supervisor";
constexpr int datagrams_per_turn = 64;      // so that one busy source does not hold up the others' syncs
constexpr int datagrams_at_the_end = 4096;  // more than a socket buffer holds

// U+FFFD for each broken sequence, by the JSON library: quoted with replacement, read back.
std::string repaired(std::string_view text) {
  const std::string quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

bool ends_session(std::string_view source, std::string_view type) {
  return source == supervisor_name && type.starts_with("session.");
}

}  // namespace

Result<Start> start_from(ipc::Message message) {
  if (message.closed) return fail("the supervisor left before it sent a start message");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  const auto sources = object.find("sources");
  if (object.value("type", nlohmann::json()) != "start" || !object.value("session", nlohmann::json()).is_string() ||
      sources == object.end() || !sources->is_array()) {
    return fail("the first message is not a start message");
  }
  Start start;
  start.session = object["session"].get<std::string>();
  for (const nlohmann::json& name : *sources) {
    if (!name.is_string()) return fail("a source's name is not a string");
    start.sources.push_back(name.get<std::string>());
  }
  if (message.fds.size() != start.sources.size() + 1)
    return fail("the start message has the wrong number of descriptors");
  start.log = std::move(message.fds[0]);
  for (std::size_t i = 1; i < message.fds.size(); ++i) start.sockets.push_back(std::move(message.fds[i]));
  return start;
}

Writer::Writer(UniqueFd supervisor, Log log, std::vector<std::string> names, std::vector<UniqueFd> sockets)
    : supervisor_(std::move(supervisor)), log_(std::move(log)), refilled_(Clock::now()) {
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    sources_.push_back({std::move(names[i]), std::move(sockets[i]), events_per_second, bytes_per_second});
  }
  buffer_.resize(max_line);
}

int Writer::run() {
  std::vector<pollfd> polled;
  for (;;) {
    refill();
    polled.assign(1, {supervisor_.get(), POLLIN, 0});
    // A negative descriptor is skipped by poll(2): a source that left, or one that has to wait.
    const bool gathering = Clock::now() < gather_until_;
    for (const Source& s : sources_) {
      const bool waits = s.throttled() || (gathering && s.name != supervisor_name);
      polled.push_back({waits ? -1 : s.socket.get(), POLLIN, 0});
    }
    if (::poll(polled.data(), polled.size(), trim_.timeout(poll_timeout())) < 0 && errno != EINTR) {
      return finish(true);
    }
    trim_.check();

    bool any = false, more = false;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (polled[i + 1].revents == 0) continue;
      any = true;
      more |= read_source(i, datagrams_per_turn);
    }
    (void)log_.flush();  // report_full() says why not
    if (any && !more) gather_until_ = Clock::now() + gather_interval;
    if (log_.dirty() && !was_dirty_) {
      was_dirty_ = true;
      dirty_since_ = Clock::now();
    }
    if (!waiters_.empty() || (was_dirty_ && Clock::now() - dirty_since_ >= commit_interval)) commit();
    report_full();

    if (polled[0].revents != 0) {
      const auto message = ipc::receive(supervisor_.get());
      const bool stop = message && !message->closed && message->fds.empty() &&
                        nlohmann::json::parse(message->text, nullptr, false) == nlohmann::json{{"type", "stop"}};
      return finish(!stop);
    }
  }
}

void Writer::refill() {
  const auto now = Clock::now();
  const double seconds = duration<double>(now - refilled_).count();
  refilled_ = now;
  for (Source& s : sources_) {
    s.events = std::min(events_per_second, s.events + seconds * events_per_second);
    s.bytes = std::min(bytes_per_second, s.bytes + seconds * bytes_per_second);
  }
}

int Writer::poll_timeout() const {
  int timeout = -1;
  if (was_dirty_) {
    const auto left = std::chrono::ceil<milliseconds>(commit_interval - (Clock::now() - dirty_since_));
    timeout = std::max(0, static_cast<int>(left.count()));
  }
  if (const auto now = Clock::now(); now < gather_until_) {
    const auto left = static_cast<int>(std::chrono::ceil<milliseconds>(gather_until_ - now).count());
    if (timeout < 0 || timeout > left) timeout = left;
  }
  const bool somebody_waits = std::ranges::any_of(sources_, [](const Source& s) { return s.socket && s.throttled(); });
  if (somebody_waits && (timeout < 0 || timeout > 10)) timeout = 10;
  return timeout;
}

bool Writer::read_source(std::size_t index, int limit) {
  Source& source = sources_[index];
  for (int i = 0; i < limit && source.socket; ++i) {
    // No room for control messages: descriptors that a source attaches are dropped by the kernel.
    iovec part{buffer_.data(), buffer_.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const ssize_t n = ::recvmsg(source.socket.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // ECONNRESET is said once, when it left an answer unread; what it sent comes after it.
    if (n < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) {  // the supervisor, too, sees a component leave
      source.socket.reset();
      return false;
    }
    source.events -= 1;
    source.bytes -= static_cast<double>(n);
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      reject(index, false, "longer than an event may be");
    } else {
      take(index, std::string_view(buffer_.data(), static_cast<std::size_t>(n)));
    }
    if (limit == datagrams_per_turn && source.throttled()) return false;
  }
  return static_cast<bool>(source.socket);
}

void Writer::take(std::size_t index, std::string_view text) {
  bool sync = false;
  auto event = reader_.read(text, sync);
  if (!event && !valid_utf8(text)) event = reader_.read(repaired(text), sync);
  if (!event) return reject(index, sync, event.error().message);

  const std::string& name = sources_[index].name;
  // The last line: what the others have sent, who are gone by now, stands before it.
  if (name == supervisor_name && event->type == "session.end") {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (i != index) read_source(i, datagrams_at_the_end);
    }
  }
  const auto seq = log_.append(name, event->type, event->fields, ends_session(name, event->type));
  if (!seq) {
    if (seq.error().code == EMSGSIZE) return reject(index, sync, seq.error().message);
    ++refused_;
    if (sync) answer(index, {{"ok", false}, {"error", seq.error().message}});
    return;
  }
  if (ends_session(name, event->type) && event->type == "session.end") ended_ = true;
  if (sync) waiters_.push_back({index, *seq});
}

void Writer::reject(std::size_t index, bool sync, const std::string& reason) {
  (void)log_.append(Event("evidence.rejected").add("from", sources_[index].name).add("reason", reason));
  if (sync) answer(index, {{"ok", false}, {"error", reason}});
}

void Writer::answer(std::size_t index, const nlohmann::json& object) {
  const std::string text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  Source& source = sources_[index];
  if (!source.socket) return;
  // Never wait for a reader: a source that doesn't take its answers is cut off, and notices.
  const ssize_t n = ::send(source.socket.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) source.socket.reset();
}

void Writer::commit() {
  const auto synced = log_.sync();
  for (const Waiter& waiter : waiters_) {
    if (synced) {
      answer(waiter.source, {{"ok", true}, {"seq", waiter.seq}});
    } else {
      answer(waiter.source, {{"ok", false}, {"error", synced.error().message}});
    }
  }
  waiters_.clear();
  was_dirty_ = false;
}

void Writer::report_full() {
  if (!log_.full() || reported_full_) return;
  reported_full_ = true;
  const std::string text = nlohmann::json{{"type", "full"}, {"reason", log_.why_full()}}.dump();
  (void)::send(supervisor_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int Writer::finish(bool lost) {
  for (std::size_t i = 0; i < sources_.size(); ++i) read_source(i, datagrams_at_the_end);
  if (lost && !ended_) (void)log_.append(Event("session.lost"), true);
  commit();
  const auto closed = log_.close();
  refused_ += log_.lost();
  const std::string text = nlohmann::json{{"type", "stopped"}, {"lines", log_.lines()}, {"refused", refused_}}.dump();
  (void)::send(supervisor_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return closed && !log_.full() ? 0 : 1;
}

}  // namespace bulkhead::evidence
