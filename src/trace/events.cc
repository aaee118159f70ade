#include "trace/events.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <cstring>
#include <string>
#include <vector>

namespace bulkhead::trace {
namespace {

using evidence::Event;

Event& about(Event& event, int pid, const Process& process) {
  event.add("pid", pid);
  if (process.parent != 0) event.add("parent", process.parent);
  if (!process.name.empty()) event.add("name", process.name);
  return event;
}

void add_error(Event& event, int error) {
  if (error == 0) return;
  const char* name = ::strerrorname_np(error);
  event.add("error", name != nullptr ? std::string(name) : std::to_string(error));
}

std::vector<std::string_view> words_of(std::uint32_t flags) {
  std::vector<std::string_view> out;
  if ((flags & O_ACCMODE) != O_RDONLY) out.emplace_back("write");
  if ((flags & O_CREAT) != 0) out.emplace_back("create");
  if ((flags & O_TRUNC) != 0) out.emplace_back("truncate");
  if ((flags & O_APPEND) != 0) out.emplace_back("append");
  return out;
}

}  // namespace

Event event_of(const Began& what, const Process& process, std::string_view seen_by) {
  Event event("process.start");
  about(event, what.pid, process).add("seen_by", seen_by);
  return event;
}

Event event_of(const Executed& what, const Process& process, std::string_view seen_by) {
  Event event("process.exec");
  about(event, what.by.pid, process).add("thread", what.by.thread).add("path", what.path);
  event.add("arguments", std::vector<std::string_view>(what.arguments.begin(), what.arguments.end()));
  if (what.cut) event.add("cut", true);
  event.add("seen_by", seen_by);
  return event;
}

Event event_of(const Runs& what, const Process& process, std::string_view seen_by) {
  Event event("process.exec");
  about(event, what.by.pid, process).add("thread", what.by.thread).add("untold", true).add("seen_by", seen_by);
  return event;
}

Event event_of(const Ended& what, const Process& process, std::string_view seen_by) {
  Event event("process.exit");
  about(event, what.pid, process);
  if (WIFSIGNALED(what.status)) {
    event.add("signal", WTERMSIG(what.status));
  } else {
    event.add("exit_status", WEXITSTATUS(what.status));
  }
  event.add("seen_by", seen_by);
  return event;
}

Event event_of(const Opened& what, const Process& process, std::string_view seen_by) {
  Event event("file.open");
  about(event, what.by.pid, process).add("path", what.path).add("how", words_of(what.flags));
  if (what.cut) event.add("cut", true);
  add_error(event, what.error);
  if (what.asked) event.add("asked", true);
  event.add("seen_by", seen_by);
  return event;
}

Event event_of(const Connected& what, const Process& process, std::string_view seen_by) {
  Event event("net.connect");
  about(event, what.by.pid, process).add("family", what.family).add("address", what.address);
  if (what.family != "unix") event.add("port", what.port);
  add_error(event, what.error);
  if (what.asked) event.add("asked", true);
  event.add("seen_by", seen_by);
  return event;
}

Event event_of(const Pace::Omitted& omitted, bool unheard, std::string_view seen_by) {
  const auto count = [&](Kind kind) { return omitted.of[static_cast<std::size_t>(kind)]; };
  Event event("process.omitted");
  event.add("start", count(Kind::started)).add("exec", count(Kind::executed)).add("exit", count(Kind::ended));
  event.add("open", count(Kind::opened)).add("connect", count(Kind::connected)).add("unsent", omitted.unsent);
  if (unheard) event.add("unheard", true);
  event.add("seen_by", seen_by);
  return event;
}

}  // namespace bulkhead::trace
