#include "credential/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "base/sys.h"
#include "base/text.h"
#include "credential/exchange.h"
#include "credential/program.h"

namespace bulkhead {
namespace {

constexpr const char* shell = "/bin/sh";
constexpr const char* encrypted_store = "/etc/credstore.encrypted/";

// The first entry of that name, as getenv(3) has it; null when there is none.
const char* find_variable(const SourceContext& context, std::string_view name) {
  for (const char* entry : context.environment) {
    const std::string_view text = entry;
    if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=') return entry + name.size() + 1;
  }
  return nullptr;
}

Result<SecretBuffer> held(std::string_view text) {
  SecretBuffer buffer(max_source_read);
  if (!buffer.add(text)) return fail("is longer than " + std::to_string(max_source_read) + " bytes", EFBIG);
  return buffer;
}

// The end of an error about something that isn't there. A credential that may be missing needs nothing done.
std::string or_optional(const Credential& credential) {
  return credential.optional ? "" : ", or mark the credential optional";
}

Result<SecretBuffer> read_variable(const Credential& credential, const SourceContext& context) {
  const char* value = find_variable(context, credential.source_value);
  if (value == nullptr || *value == '\0') {
    return fail(escape_for_terminal(credential.source_value) + " is not set; set it" + or_optional(credential), ENOENT);
  }
  return held(value);
}

Result<SecretBuffer> read_path(const Credential& credential, const std::string& path, std::vector<std::string>& notes) {
  const std::string shown = "\"" + escape_for_terminal(path) + "\"";
  // O_NONBLOCK: a FIFO in its place must be refused below, not waited for.
  auto fd = sys::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd && fd.error().code == ENOENT) {
    return fail(shown + " does not exist; create it" + or_optional(credential), ENOENT);
  }
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(const struct stat st, sys::stat_fd(fd->get(), path));
  if (!S_ISREG(st.st_mode)) return fail(shown + " is not a regular file");
  if ((st.st_mode & (S_IRGRP | S_IROTH)) != 0) notes.push_back(shown + " can be read by other users; chmod 600 it");
  SecretBuffer buffer(max_source_read + 1);
  for (;;) {
    if (buffer.left() == 0) return fail(shown + " is larger than " + std::to_string(max_source_read) + " bytes", EFBIG);
    const ssize_t n = ::read(fd->get(), buffer.space(), buffer.left());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", path, errno);
    if (n == 0) return buffer;
    buffer.added(static_cast<std::size_t>(n));
  }
}

Result<SecretBuffer> read_file(const Credential& credential, const SourceContext& context,
                               std::vector<std::string>& notes) {
  std::string path = credential.source_value;
  if (path.starts_with("~/")) {
    const char* home = find_variable(context, "HOME");
    if (home == nullptr) return fail("HOME is not set, so ~ means nothing; give the whole path");
    path.replace(0, 1, home);
  }
  return read_path(credential, path, notes);
}

Result<SecretBuffer> run_command(const Credential& credential, const SourceContext& context) {
  SecretProgram program;
  program.path = shell;
  program.arguments = {shell, "-c", credential.source_value};
  program.environment = context.environment;
  program.shown = "command \"" + escape_for_terminal(credential.source_value, 200) + "\"";
  program.timeout = context.command_timeout;
  BH_TRY(Printed printed, run_secret_program(program));
  if (printed.status != 0) return fail(program.shown + " ended with status " + std::to_string(printed.status));
  return std::move(printed.text);
}

// Programs are executed by descriptor, which scripts can't be: what may be one is executed by the shell.
std::vector<std::string> by_path(const std::string& program, std::vector<std::string> arguments) {
  std::vector<std::string> out{shell, "-c", "exec \"$0\" \"$@\"", program};
  out.insert(out.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  return out;
}

// What a client of the session's own services needs, and no more: it has no business with anybody's keys.
std::vector<const char*> bus_environment(const SourceContext& context) {
  std::vector<const char*> out{"LC_ALL=C.UTF-8"};
  for (const std::string_view name : {"HOME", "PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}) {
    if (const char* value = find_variable(context, name); value != nullptr) out.push_back(value - name.size() - 1);
  }
  return out;
}

Result<SecretBuffer> ask_keyring(const Credential& credential, const SourceContext& context) {
  SecretProgram program;
  program.path = find_program("secret-tool", context.environment);
  if (program.path.empty()) {
    return fail(
        "there is no secret-tool to ask the keyring with; install it (apt-get install libsecret-tools), or mark "
        "the credential optional",
        ENOENT);
  }
  program.arguments = by_path(program.path, {"lookup"});
  for (const std::string& attribute : split(credential.source_value, ',')) {
    const std::size_t equals = attribute.find('=');
    if (equals == std::string::npos) return fail("\"" + escape_for_terminal(attribute) + "\" is no NAME=VALUE");
    program.arguments.push_back(attribute.substr(0, equals));
    program.arguments.push_back(attribute.substr(equals + 1));
  }
  program.path = shell;
  program.environment = bus_environment(context);
  program.shown = "secret-tool";
  program.timeout = context.command_timeout;
  program.quiet = true;
  BH_TRY(Printed printed, run_secret_program(program));
  if (printed.status == 0) return std::move(printed.text);
  // It says nothing at all when the keyring has no such item.
  if (printed.complaint.empty()) {
    return fail("the keyring has nothing with " + escape_for_terminal(credential.source_value) +
                    "; store it (secret-tool store --label=NAME ATTRIBUTE VALUE …)" + or_optional(credential),
                ENOENT);
  }
  return fail("the keyring can't be asked: " + escape_for_terminal(printed.complaint, 300) +
              " (is a desktop session with a keyring running, and DBUS_SESSION_BUS_ADDRESS set?)");
}

Result<SecretBuffer> decrypt(const Credential& credential, const std::string& path, const SourceContext& context) {
  const std::string shown = "\"" + escape_for_terminal(path) + "\"";
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return fail(shown + " does not exist; make it (systemd-creds encrypt PLAIN " + escape_for_terminal(path) + ")" +
                    or_optional(credential),
                ENOENT);
  }
  SecretProgram program;
  program.path = find_program("systemd-creds", context.environment);
  if (program.path.empty()) {
    return fail("there is no systemd-creds here to decrypt " + shown + " with; it comes with systemd 250");
  }
  program.arguments = by_path(program.path, {"decrypt", path, "-"});
  program.path = shell;
  program.environment = {"LC_ALL=C.UTF-8"};
  program.shown = "systemd-creds";
  program.timeout = context.command_timeout;
  program.quiet = true;
  BH_TRY(Printed printed, run_secret_program(program));
  if (printed.status == 0) return std::move(printed.text);
  return fail("systemd-creds can't decrypt " + shown + ": " +
              (printed.complaint.empty() ? "status " + std::to_string(printed.status)
                                         : escape_for_terminal(printed.complaint, 300)) +
              " (its key is this machine's, and mostly root's alone: in a unit, use LoadCredentialEncrypted= and "
              "systemd-creds:NAME)");
}

Result<SecretBuffer> read_systemd(const Credential& credential, const SourceContext& context,
                                  std::vector<std::string>& notes) {
  const std::string& value = credential.source_value;
  if (value.starts_with("~/")) {
    const char* home = find_variable(context, "HOME");
    if (home == nullptr) return fail("HOME is not set, so ~ means nothing; give the whole path");
    return decrypt(credential, home + value.substr(1), context);
  }
  if (value.find('/') != std::string::npos) return decrypt(credential, value, context);
  const char* directory = find_variable(context, "CREDENTIALS_DIRECTORY");
  if (directory == nullptr) return decrypt(credential, encrypted_store + value, context);
  auto read = read_path(credential, std::string(directory) + "/" + value, notes);
  if (!read && read.error().code == ENOENT) {
    return fail("the unit has no credential " + escape_for_terminal(value) +
                    "; add LoadCredentialEncrypted=" + escape_for_terminal(value) + " to it" + or_optional(credential),
                ENOENT);
  }
  return read;
}

Result<SecretBuffer> read_source(const Credential& credential, const SourceContext& context,
                                 std::vector<std::string>& notes) {
  switch (credential.source) {
    case Credential::Source::env:
      return read_variable(credential, context);
    case Credential::Source::file:
      return read_file(credential, context, notes);
    case Credential::Source::command:
      return run_command(credential, context);
    case Credential::Source::secret_service:
      return ask_keyring(credential, context);
    case Credential::Source::systemd_creds:
      return read_systemd(credential, context, notes);
    case Credential::Source::answer:
      return fail("is handed out by servers; there is nothing to read");
    case Credential::Source::login:
      return fail("is a login, which bulkhead-login reads");
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
  if (credential.carrier == Credential::Carrier::sigv4) {
    const std::vector<std::string_view> parts = key_pair_parts(text);
    if (parts.size() < 2 || parts.size() > 3 || std::ranges::any_of(parts, [](auto part) { return part.empty(); })) {
      return fail("a key pair is written ACCESS_KEY_ID:SECRET_KEY, or ACCESS_KEY_ID:SECRET_KEY:SESSION_TOKEN");
    }
  }
  const bool raw = credential.carrier != Credential::Carrier::basic;
  if (raw && (text.front() == ' ' || text.back() == ' ')) return fail("the secret begins or ends with a blank");
  return {};
}

}  // namespace

bool runs_a_program(Credential::Source source) {
  return source != Credential::Source::env && source != Credential::Source::file;
}

Result<SourceRead> read_secret(const Credential& credential, const SourceContext& context) {
  const std::string name = "credential \"" + escape_for_terminal(credential.name) + "\"";
  SourceRead result;
  auto text = read_source(credential, context, result.notes);
  if (!text) return tl::unexpected(std::move(text).error().with(name));
  std::string_view trimmed = text->view();
  if (trimmed.ends_with('\n')) trimmed.remove_suffix(1);
  if (trimmed.ends_with('\r') && trimmed.size() < text->view().size()) trimmed.remove_suffix(1);
  const auto fine = check(credential, trimmed);
  if (!fine) return fail(name + ": " + fine.error().message, fine.error().code);
  result.secret = Secret(trimmed);
  if (result.secret.reveal().size() < 8) {
    result.notes.push_back("the secret is so short that removing it from answers will hit ordinary text");
  }
  for (std::string& note : result.notes) note.insert(0, name + ": ");
  return result;
}

}  // namespace bulkhead
