#include "session/environment.h"

#include <stdlib.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "session/git.h"

namespace bulkhead::session {
namespace {

// Harmless, and programs look wrong without them.
constexpr const char* passed_always[] = {"TERM",        "COLORTERM", "TERM_PROGRAM", "LANG",     "LANGUAGE",
                                         "LC_ALL",      "LC_CTYPE",  "LC_COLLATE",   "LC_TIME",  "LC_NUMERIC",
                                         "LC_MESSAGES", "TZ",        "NO_COLOR",     "CLICOLOR", "FORCE_COLOR",
                                         "EDITOR",      "VISUAL",    "PAGER",        "COLUMNS",  "LINES"};

// One variable per tool family: most read SSL_CERT_FILE, each of the others has its own idea.
constexpr const char* ca_variables[] = {"SSL_CERT_FILE",     "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
                                        "CURL_CA_BUNDLE",    "GIT_SSL_CAINFO",      "PIP_CERT",
                                        "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",       "DENO_CERT",
                                        "NIX_SSL_CERT_FILE", "CODEX_CA_CERTIFICATE"};

constexpr const char* usual_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

std::string visible_path(const std::vector<std::string>& visible) {
  std::vector<std::string> kept;
  const char* host = ::getenv("PATH");
  for (const std::string& entry : split(host == nullptr ? "" : host, ':')) {
    const bool seen =
        std::any_of(visible.begin(), visible.end(), [&](const std::string& v) { return below(entry, v); });
    if (seen && std::find(kept.begin(), kept.end(), entry) == kept.end()) kept.push_back(entry);
  }
  for (const char* entry : {"/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"}) {
    if (std::find(kept.begin(), kept.end(), entry) == kept.end()) kept.emplace_back(entry);
  }
  return join(kept, ":");
}

}  // namespace

std::map<std::string, std::string> make_environment(const Policy& policy, const Identity& identity,
                                                    const std::vector<TokenSlot>& tokens,
                                                    const std::vector<std::string>& visible,
                                                    const std::map<std::string, std::string>* image) {
  std::map<std::string, std::string> out;
  const auto pass = [&](const std::string& name) {
    if (const char* value = ::getenv(name.c_str()); value != nullptr) out[name] = value;
  };
  for (const char* name : passed_always) pass(name);

  // A variable that some credential is read from or exposed as is never passed, whatever the policy says: the
  // host's value is the secret itself.
  std::set<std::string> secret;
  for (const auto& [name, credential] : policy.credentials) {
    if (credential.source == Credential::Source::env) secret.insert(credential.source_value);
    secret.insert(credential.expose_env);
    secret.insert(credential.expose_secret_env);
  }
  for (const std::string& name : policy.env.pass) {
    if (!secret.contains(name)) pass(name);
  }

  // Before all that is Bulkhead's or the policy's.
  if (image != nullptr) {
    for (const auto& [name, value] : *image) out[name] = value;
  }
  const bool own_path = image != nullptr && image->contains("PATH");
  if (!own_path) out["PATH"] = image == nullptr ? visible_path(visible) : usual_path;
  out["HOME"] = identity.home;
  out["USER"] = out["LOGNAME"] = identity.name;
  out["SHELL"] = image == nullptr ? "/bin/bash" : "/bin/sh";
  out["XDG_RUNTIME_DIR"] = "/run/user/" + std::to_string(identity.uid);
  out["BULKHEAD"] = "1";  // so that scripts can tell where they are
  for (const char* name : ca_variables) out[name] = ca_bundle_path;
  for (const auto& [name, value] : git_environment(policy)) out[name] = value;
  for (const auto& [name, value] : policy.env.set) out[name] = value;
  for (const TokenSlot& token : tokens) {
    const auto credential = policy.credentials.find(token.credential);
    if (credential != policy.credentials.end() && !credential->second.expose_env.empty()) {
      out[credential->second.expose_env] = token.token;
    }
    if (credential != policy.credentials.end() && !credential->second.expose_secret_env.empty()) {
      out[credential->second.expose_secret_env] = token.signing_key;
    }
  }
  return out;
}

}  // namespace bulkhead::session
