#include <errno.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/text.h"
#include "session/recorded.h"
#include "session/supervisor_class.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t most_said = 4096;

std::string why_unseen(const std::string& reason) {
  if (reason == "watches") return "no inotify watch is left for all folders (fs.inotify.max_user_watches)";
  if (reason == "inotify") return "no inotify instance is left (fs.inotify.max_user_instances)";
  if (reason == "access") return "there are folders that can't be read";
  return "there were more at once than the kernel tells of (fs.inotify.max_queued_events)";
}

std::string published_port(const nlohmann::json& object) {
  return "port " + std::to_string(object.value("inside", 0)) + ", which is published at " +
         std::to_string(object.value("port", 0));
}

}  // namespace

void Supervisor::on_evidence_ack(std::size_t) {
  waiting_for_evidence_ = false;
  if (auto done = recorder_->finish_sync(); !done) return stop("evidence: " + done.error().message);
  // The start is on the disk; now the secrets may go to their egress processes.
  if (auto done = reader_.release(); !done) stop(done.error().message);
  if (auto done = release_logins(helpers_.logins); !done) stop(done.error().message);
}

void Supervisor::on_reader_end(std::size_t) {
  if (auto done = reader_.ended(); !done) stop(done.error().message);
}

void Supervisor::on_helper_end(std::size_t index) {
  Helper& helper = *helpers_.all()[index];
  auto status = helper.child.try_wait();
  if (!status || !*status) return;
  if (ending_ && index != 0) return;  // evidence is still needed
  collect(helper.messages, helper.printed);
  stop(death(helper.name, **status, helper.printed));
}

void Supervisor::on_helper(std::size_t index) {
  Helper& helper = *helpers_.all()[index];
  auto message = ipc::receive(helper.control.get());
  if (!message || message->closed) {
    helper.control.reset();  // its end follows
    if (ending_ && index == 1) end_egress();
    return;
  }
  auto object = ipc::parse(message->text);
  const std::string type = object ? object->value("type", "") : "";
  if (index == 0 && type == "ready") {
    return;  // its answer to session.start is what is waited for
  }
  if (index == 0 && type == "full") {
    stop("evidence can no longer be written (" + escape_for_terminal(object->value("reason", "the disk is full")) +
         "), so the session was stopped; free some space");
  } else if (index == 1 && type == "ready") {
    front_ready_ = true;
  } else if (index == 1 && type == "denied") {
    denials_.add(object->value("count", std::uint64_t{1}), object->value("what", ""), object->value("why", ""),
                 object->value("add", ""));
  } else if (index == 1 && (type == "question" || type == "ended") && policy_.ask) {
    auto heard = ask_.heard(*object);
    if (!heard || !*heard) {
      stop("front said something that makes no sense (" + (heard ? "it is early" : heard.error().message) +
           "), so the session was stopped");
    }
  } else if (index > 1 && type == "ready") {
    ++others_ready_;
  } else if (index > 1 && type == "quota") {
    say(helper.name + ": no room is left for originals, so what would lose one is refused from now on (EDQUOT); " +
        "`bulkhead restore --list` shows what was kept");
  } else if (index > 1 && type == "said") {
    say(helper.name + ": the workload refreshed it, and the host's file could not be given the new tokens (" +
        escape_for_terminal(object->value("text", ""), 300) + "); if the agent on the host can't use its login any " +
        "more, log in there again");
  } else if (index > 1 && type == "watches") {
    say(helper.name +
        ": no inotify watch is left (fs.inotify.max_user_watches), so names and attributes are asked for " +
        "anew each second, which is slower");
  } else if (index > 1 && type == "unseen") {
    say("not all changes of files are recorded: " + why_unseen(object->value("reason", "")));
  } else if (index > 1 && type == "unanswered") {
    say("nobody inside listened at " + published_port(*object) +
        (isolation_->own_kernel() ? "; on this tier a server is reached at 0.0.0.0 or [::], not at its own 127.0.0.1"
                                  : ""));
  } else if (index > 1 && type == "refused") {
    on_refused(*object);
  } else if (index > 0 && type == "applied" && owner_.applied(index == 1, *object)) {
    // What its owner asked for is done there.
  } else {
    stop(helper.name + " said something that makes no sense, so the session was stopped");
  }
}

void Supervisor::on_refused(const nlohmann::json& object) {
  const std::string operation = object.value("operation", ""), path = object.value("path", "");
  const auto count = object.value("count", std::uint64_t{1});
  denials_.add(count, operation.empty() ? "changes of control files" : operation + " " + path,
               "a control file" + (operation.empty() ? "" : " (" + object.value("rule", "") + ")") +
                   ", which your tools run or obey; `allow_control` of its mount opens it",
               "");
  if (object.value("record", true)) {
    (void)recorder_->record("file.refused", {{"mount", object.value("mount", "")},
                                             {"operation", operation},
                                             {"path", path},
                                             {"rule", object.value("rule", "")},
                                             {"count", count}});
  }
}

void Supervisor::on_helper_message(std::size_t index) {
  Helper& helper = *helpers_.all()[index];
  collect(helper.messages, helper.printed);
}

void Supervisor::collect(UniqueFd& pipe, std::string& into) {
  char buffer[4096];
  while (pipe) {
    const ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      pipe.reset();
      break;
    }
    into.append(buffer, static_cast<std::size_t>(n));
    if (into.size() > most_said) into.erase(0, into.size() - most_said);
  }
  while (!into.empty() && into.back() == '\n') into.pop_back();
}

}  // namespace bulkhead::session
