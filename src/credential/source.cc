#include "credential/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead {
namespace {

using Clock = std::chrono::steady_clock;

// The first entry of that name, as getenv(3) has it.
std::optional<std::string> find_variable(const SourceContext& context, std::string_view name) {
  for (const std::string& entry : context.environment) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

Result<std::string> read_variable(const Credential& credential, const SourceContext& context) {
  auto value = find_variable(context, credential.source_value);
  if (!value || value->empty()) {
    return fail(escape_for_terminal(credential.source_value) + " is not set; set it, or mark the credential optional",
                ENOENT);
  }
  return std::move(*value);
}

Result<std::string> read_file(const Credential& credential, const SourceContext& context,
                              std::vector<std::string>& notes) {
  std::string path = credential.source_value;
  if (path.starts_with("~/")) {
    const auto home = find_variable(context, "HOME");
    if (!home) return fail("HOME is not set, so ~ means nothing; give the whole path");
    path.replace(0, 1, *home);
  }
  const std::string shown = "\"" + escape_for_terminal(path) + "\"";
  // O_NONBLOCK: a FIFO in its place must be refused below, not waited for.
  auto fd = sys::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd && fd.error().code == ENOENT) {
    return fail(shown + " does not exist; create it, or mark the credential optional", ENOENT);
  }
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(const struct stat st, sys::stat_fd(fd->get(), path));
  if (!S_ISREG(st.st_mode)) return fail(shown + " is not a regular file");
  if ((st.st_mode & (S_IRGRP | S_IROTH)) != 0) notes.push_back(shown + " can be read by other users; chmod 600 it");
  return sys::read_all(fd->get(), max_source_read, path);
}

// Reads until the end of the stream; the time that is left is shared with the wait for the exit
// status.
Result<std::string> read_until(int fd, Clock::time_point end) {
  std::string out;
  char buffer[4096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd p{fd, POLLIN, 0};
    const int ready = left <= 0 ? 0 : ::poll(&p, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno("poll", "", errno);
    if (ready == 0) return fail("gave no answer in time", ETIMEDOUT);
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "", errno);
    if (n == 0) break;
    if (out.size() + static_cast<std::size_t>(n) > max_source_read) {
      wipe(out);
      return fail("printed more than " + std::to_string(max_source_read) + " bytes", EFBIG);
    }
    out.append(buffer, static_cast<std::size_t>(n));
  }
  ::explicit_bzero(buffer, sizeof buffer);
  return out;
}

Result<std::string> run_command(const Credential& credential, const SourceContext& context) {
  const auto end = Clock::now() + context.command_timeout;
  const std::string shown = "command \"" + escape_for_terminal(credential.source_value, 200) + "\" ";
  BH_TRY(UniqueFd shell, sys::open("/bin/sh", O_PATH));
  BH_TRY(sys::Pair pipe, sys::pipe());
  SpawnOptions options;
  options.program = shell.get();
  options.arguments = {"/bin/sh", "-c", credential.source_value};
  options.environment = context.environment;
  options.fds = {-1, pipe.second.get(), 2};  // its complaints belong to the person at the terminal
  BH_TRY(Child child, spawn(options));
  pipe.second.reset();
  auto text = read_until(pipe.first.get(), end);
  if (!text) return fail(shown + text.error().message, text.error().code);  // ~Child kills it
  // Its output has ended, it need not have: the status counts, so wait for that too.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  pollfd p{child.pidfd(), POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(std::max<long>(left, 0))) <= 0) {
    wipe(*text);
    return fail(shown + "gave no answer in time", ETIMEDOUT);
  }
  BH_TRY(const ExitStatus status, child.wait());
  if (status.shell() != 0) {
    wipe(*text);
    return fail(shown + "ended with status " + std::to_string(status.shell()));
  }
  return text;
}

Result<std::string> read_source(const Credential& credential, const SourceContext& context,
                                std::vector<std::string>& notes) {
  switch (credential.source) {
    case Credential::Source::env:
      return read_variable(credential, context);
    case Credential::Source::file:
      return read_file(credential, context, notes);
    case Credential::Source::command:
      return run_command(credential, context);
  }
  return fail("has an unknown source");
}

Result<void> check(const Credential& credential, std::string_view text) {
  if (text.empty()) return fail("the source holds nothing");
  if (text.size() > max_secret) return fail("the secret is longer than " + std::to_string(max_secret) + " bytes");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(text, control)) {
    return fail(
        "the secret contains a control character (a line break, a NUL…); only one newline at its "
        "end is dropped");
  }
  const bool raw = credential.carrier != Credential::Carrier::basic;
  if (raw && (text.front() == ' ' || text.back() == ' ')) return fail("the secret begins or ends with a blank");
  return {};
}

}  // namespace

Result<SourceRead> read_secret(const Credential& credential, const SourceContext& context) {
  const std::string name = "credential \"" + escape_for_terminal(credential.name) + "\"";
  SourceRead result;
  auto text = read_source(credential, context, result.notes);
  if (!text) return tl::unexpected(std::move(text).error().with(name));
  std::string_view trimmed = *text;
  if (trimmed.ends_with('\n')) trimmed.remove_suffix(1);
  if (trimmed.ends_with('\r') && trimmed.size() < text->size()) trimmed.remove_suffix(1);
  const auto fine = check(credential, trimmed);
  if (fine) result.secret = Secret(trimmed);
  wipe(*text);
  if (!fine) return fail(name + ": " + fine.error().message, fine.error().code);
  if (result.secret.reveal().size() < 8) {
    result.notes.push_back("the secret is so short that removing it from answers will hit ordinary text");
  }
  for (std::string& note : result.notes) note.insert(0, name + ": ");
  return result;
}

}  // namespace bulkhead
