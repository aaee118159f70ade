#include "policy/policy.h"

#include <algorithm>

namespace bulkhead {
namespace {

// Is `path` the folder `top`, or below it?
bool at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

bool in_copy(const Mount& mount, std::string_view path) {
  const auto covers = [&](const std::string& name) { return at_or_below(path, name); };
  return !std::ranges::any_of(mount.except, covers) && (!mount.only || std::ranges::any_of(*mount.only, covers));
}

bool leads_to_copied(const Mount& mount, std::string_view path) {
  return mount.only && !in_copy(mount, path) &&
         std::ranges::any_of(*mount.only, [&](const std::string& name) { return at_or_below(name, path); });
}

const char* name_of(Tier tier) {
  switch (tier) {
    case Tier::native:
      return "native";
    case Tier::gvisor:
      return "gvisor";
    case Tier::vm:
      return "vm";
  }
  return "?";
}

bool is_served(const Mount& mount) {
  return !mount.copy && (mount.mode == MountMode::rw_no_delete || (mount.mode == MountMode::rw && mount.protect));
}

const char* name_of(MountMode mode) {
  switch (mode) {
    case MountMode::ro:
      return "ro";
    case MountMode::rw:
      return "rw";
    case MountMode::rw_no_delete:
      return "rw-no-delete";
    case MountMode::review:
      return "review";
  }
  return "?";
}

const char* name_of(Credential::Source source) {
  switch (source) {
    case Credential::Source::env:
      return "env";
    case Credential::Source::file:
      return "file";
    case Credential::Source::command:
      return "command";
    case Credential::Source::secret_service:
      return "secret-service";
    case Credential::Source::systemd_creds:
      return "systemd-creds";
    case Credential::Source::answer:
      return "answer";
    case Credential::Source::login:
      return "login";
  }
  return "?";
}

const char* name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::https:
      return "https";
    case Protocol::http:
      return "http";
    case Protocol::tcp:
      return "tcp";
    case Protocol::grpc:
      return "grpc";
    case Protocol::wss:
      return "wss";
    case Protocol::ws:
      return "ws";
  }
  return "?";
}

bool is_websocket(Protocol protocol) {
  return protocol == Protocol::wss || protocol == Protocol::ws;
}

bool is_websocket(std::string_view scheme) {
  return scheme == name_of(Protocol::wss) || scheme == name_of(Protocol::ws);
}

bool is_plain(Protocol protocol) {
  return protocol == Protocol::http || protocol == Protocol::ws;
}

bool is_plain(std::string_view scheme) {
  return scheme == name_of(Protocol::http) || scheme == name_of(Protocol::ws);
}

std::uint16_t usual_port(bool plain) {
  return plain ? 80 : 443;
}

}  // namespace bulkhead
