#include "advice/lint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <tuple>

#include "advice/advice.h"
#include "advice/covers.h"
#include "advice/hosts.h"
#include "gateway/grant/address.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/target.h"
#include "policy/names.h"

namespace bulkhead::advice {
namespace {

std::optional<std::string_view> special_address(const std::string& host) {
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return grant::why_not_dialled(std::span(bytes).first(4));
  if (::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return grant::why_not_dialled(bytes);
  return std::nullopt;
}

std::string shown(const Rule& rule) {
  return escape_for_terminal(join(rule.methods, ",") + " " + rule.path, 200);
}

class Linter {
 public:
  Linter(const Policy& policy, const Place& place) : policy_(policy), place_(place) {}

  std::vector<Finding> run() {
    judge_upstream();
    judge_publish();
    for (const Grant& grant : policy_.grants) {
      judge_place(grant);
      judge_budget(grant);
      for (const Rule& rule : grant.allow) judge_rule(grant, rule);
    }
    judge_covered();
    for (const auto& [name, credential] : policy_.credentials) judge_credential(credential);
    for (const Mount& mount : policy_.mounts) judge_mount(mount);
    const auto key = [](const Finding& f) { return std::tie(f.origin.file, f.origin.line, f.code, f.text); };
    std::ranges::sort(out_, [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
    return std::move(out_);
  }

 private:
  void add(Severity severity, const char* code, const Origin& origin, std::string text, std::string fix) {
    out_.push_back({code, severity, origin, std::move(text), std::move(fix)});
  }

  // What a preset opens is written at its head, and whoever names it has chosen that; with a credential it is another
  // matter.
  static Severity unless_chosen(const Grant& grant) {
    return grant.preset.empty() || !grant.credential.empty() ? Severity::warning : Severity::note;
  }

  // The line to look at: of a preset's rule, the line that names the preset.
  static const Origin& place_of(const Grant& grant, const Rule& rule) {
    return grant.preset.empty() && rule.origin.line > 0 ? rule.origin : grant.origin;
  }

  void judge_place(const Grant& grant) {
    for (const std::string& host : grant.hosts) judge_host(grant, host);
    const std::string hosts = join(grant.hosts, ", ");
    if (const auto special = special_address(grant.address)) {
      add(Severity::warning, "private-address", grant.origin,
          hosts + " is dialled at " + grant.address + ", which is " + std::string(*special) +
              ": services there often trust whoever reaches them",
          "grant single paths and methods there only, and no more than is needed");
    }
    if (is_plain(grant.protocol) && !on_this_machine(grant)) {
      const bool websocket = is_websocket(grant.protocol);
      add(Severity::warning, "plain-http", grant.origin,
          std::string(websocket ? "a WebSocket without TLS to " : "plain HTTP to ") + hosts +
              " can be read and changed by everybody on the way",
          websocket ? "say protocol = \"wss\" if the host speaks it"
                    : "leave `protocol` out (https) if the host speaks it");
    }
    if (grant.protocol == Protocol::tcp) {
      add(Severity::warning, "opaque-grant", grant.origin,
          "Bulkhead can't see inside a tcp connection to " + hosts + ": whatever that server does is granted",
          "grant https with methods and paths if the service has it; else bound it with bytes_up and `expires`");
    }
  }

  void judge_host(const Grant& grant, const std::string& host) {
    if (host.starts_with("*.")) {
      add(Severity::warning, "wildcard-host", grant.origin,
          host + " is every name below " + host.substr(2) + ", and a name is data: asking for SECRET" + host.substr(1) +
              " tells it to whoever runs the zone (" + std::to_string(grant.labels) + " times a session)",
          "name the hosts one by one, in `hosts`");
    }
    if (const auto special = special_address(host)) {
      add(Severity::warning, "private-address", grant.origin,
          host + " is " + std::string(*special) + ": services there often trust whoever reaches them",
          "grant single paths and methods there only, and no more than is needed");
    }
    if (const auto what = fetches(host); !what.empty()) {
      add(unless_chosen(grant), "server-fetch", grant.origin,
          host + " " + std::string(what) + ": an address asked for there reaches any host, with data in it",
          "leave the host out, or grant single paths in full");
    }
    if (const auto what = takes_drops(host); !what.empty() && !owned(grant, host)) {
      add(Severity::warning, "drop-host", grant.origin,
          host + " is " + std::string(what) + ": what is left there is read by whoever has the address",
          "leave the host out");
    }
  }

  // Every rule of a shared host's grant names whose place it is.
  static bool owned(const Grant& grant, const std::string& host) {
    const SharedHost* shared = shared_host(host);
    return shared != nullptr && !grant.allow.empty() &&
           std::ranges::all_of(grant.allow, [&](const Rule& rule) { return names_owner(*shared, host, rule); });
  }

  void judge_budget(const Grant& grant) {
    const Budget& budget = grant.budget;
    const bool many = !budget.requests && !budget.requests_per_minute;
    const bool much = !budget.bytes_up && !budget.bytes_up_per_minute && writes(grant);
    if (!many && !much) return;
    add(writes(grant) || !grant.credential.empty() ? Severity::warning : Severity::note, "unbounded-budget",
        grant.origin,
        std::string("nothing bounds ") +
            (many && much ? "how many requests go to "
             : much       ? "how much goes up to "
                          : "how many requests go to ") +
            join(grant.hosts, ", ") + (many && much ? ", or how much they carry" : ""),
        std::string("add [grant.budget] with ") + (many ? "requests_per_minute" : "") + (many && much ? " and " : "") +
            (much ? "bytes_up" : ""));
  }

  void judge_rule(const Grant& grant, const Rule& rule) {
    const Origin& origin = place_of(grant, rule);
    const std::vector<std::string> segments = segments_of(rule.path);
    const bool tail = segments.back() == "**";
    // What is said of one host need not be said of the next.
    const std::string* anybodys = nullptr;
    bool known = true;
    for (const std::string& host : grant.hosts) {
      const SharedHost* shared = shared_host(host);
      known = known && shared != nullptr;
      if (anybodys == nullptr && shared != nullptr && !names_owner(*shared, host, rule)) anybodys = &host;
    }
    if (!grant.credential.empty() && (tail || anybodys != nullptr || (!known && is_wildcard(segments.front())))) {
      add(Severity::warning, "credential-wildcard", origin,
          shown(rule) + ": credential \"" + grant.credential + "\" is used wherever the wildcard leads at " +
              (anybodys != nullptr ? *anybodys : grant.hosts.front()),
          tail ? "list the paths that are needed" : "write the owner's name in place of the wildcard");
    }
    if (anybodys != nullptr) {
      const SharedHost* shared = shared_host(*anybodys);
      const bool matters = writes(rule) || !grant.credential.empty();
      const std::string fix = shared->owner == SharedHost::in_name
                                  ? "name the one host that is yours"
                                  : "write the owner in segment " + std::to_string(shared->owner + 1) + " of the path";
      add(matters ? unless_chosen(grant) : Severity::note, "shared-host", origin,
          shown(rule) + ": " + *anybodys + " holds " + std::string(shared->what) +
              ", and the rule does not say whose are meant",
          fix);
    }
    if (writes(rule) && !rule.max_body) {
      add(Severity::warning, "no-max-body", origin, shown(rule) + ": a body of any size may be sent",
          "add max_body, e.g. max_body = \"1MB\"");
    }
    judge_query(grant, rule, origin);
    judge_headers(rule, origin);
    const auto upload = std::ranges::find_if(segments, [](const std::string& s) { return keeps_uploads(s); });
    if (!grant.credential.empty() && writes(rule) && upload != segments.end()) {
      add(Severity::warning, "upload-function", origin,
          shown(rule) + ": keeps what it is sent in the account of credential \"" + grant.credential +
              "\", where others may have access",
          "leave it out unless the work needs it; bound it with max_body and [grant.budget]");
    }
    judge_possible(rule, origin);
  }

  void judge_query(const Grant& grant, const Rule& rule, const Origin& origin) {
    for (const std::string& entry : rule.query) {
      const std::string key = entry.substr(0, entry.find('='));  // `key=value` allows no other value
      if (key == "*") {
        add(Severity::warning, "open-query", origin,
            shown(rule) + ": any query key may be asked with, also those that change what the function does",
            "list the keys: query = [\"page\", \"limit\"]");
      } else if (grant::query_carries_credential(key) || grant::query_overrides(key)) {
        add(Severity::warning, "never-matches", origin,
            shown(rule) + ": the query key \"" + escape_for_terminal(key, 60) +
                "\" is always refused, because it can carry a credential or change the method",
            "leave the key out");
      } else if (names_address(key) && key == entry) {
        add(unless_chosen(grant), "server-fetch", origin,
            shown(rule) + ": the query key \"" + escape_for_terminal(key, 60) +
                "\" often holds an address that the server then asks, with data in it",
            "leave the key out");
      }
    }
  }

  void judge_headers(const Rule& rule, const Origin& origin) {
    for (const std::string& name : rule.headers) {
      if (name == "*") {
        add(Severity::warning, "open-headers", origin,
            shown(rule) + ": any request header may be sent, and with it options nobody here has heard of",
            "list the headers: headers = [\"x-tool-version\"]");
      } else if (grant::carries_credential(name)) {
        add(Severity::warning, "never-matches", origin,
            shown(rule) + ": the header " + escape_for_terminal(name, 60) +
                " can carry a credential, and is refused outside of a credential's `carry` all the same",
            "leave the header out");
      }
    }
  }

  // A template whose literal segments no canonical request can have.
  void judge_possible(const Rule& rule, const Origin& origin) {
    std::string example;
    for (const std::string& segment : segments_of(rule.path)) {
      const std::size_t verb = segment.find("}:");  // `{name}:verb`
      const bool called = segment.starts_with('{') && verb != std::string::npos;
      example += "/" + (segment == "{scope}"   ? "@x"
                        : is_wildcard(segment) ? "x"
                        : called               ? "x" + segment.substr(verb + 1)
                                               : segment);
    }
    const auto target = grant::split_target(example);
    const bool matches = target && grant::path_matches(rule.path, *target);
    if (matches) return;
    add(Severity::warning, "never-matches", origin,
        shown(rule) + ": no request can match this" + (target ? "" : ": " + target.error().text),
        "write the path as a client would send it, or leave the rule out");
  }

  void judge_covered() {
    for (const Grant& grant : policy_.grants) {
      for (const Rule& rule : grant.allow) judge_covered(grant, rule);
    }
  }

  void judge_covered(const Grant& grant, const Rule& rule) {
    for (const Grant& other : policy_.grants) {
      if (!stands_beside(other, grant)) continue;
      for (const Rule& wider : other.allow) {
        if (&wider == &rule || !covers(wider, rule)) continue;
        const bool first = &other != &grant ? &other < &grant : &wider < &rule;
        // Of two that say the same only the later is told of.
        if (!first && covers(rule, wider) && stands_beside(grant, other)) continue;
        const bool undone = undoes(wider, rule, first);
        // A rule that judges bodies, in front of one that does not, is there for a reason.
        const auto judges = [](const Rule& one) { return one.json || one.git; };
        if (!undone && judges(rule) != judges(wider)) continue;
        add(undone ? Severity::warning : Severity::note, "covered-rule", place_of(grant, rule),
            shown(rule) + (undone ? ": is of no effect: what it refuses, " : ": is superfluous: ") + shown(wider) +
                " (" + where(place_of(other, wider)) + ") allows" + (undone ? "" : " the same and more"),
            undone ? "leave the wider rule out" : "leave one of them out");
        return;
      }
    }
  }

  static std::string where(const Origin& origin) {
    return origin.file.empty() ? origin.layer : escape_for_terminal(origin.file) + ":" + std::to_string(origin.line);
  }

  void judge_upstream() {
    const Upstream& upstream = policy_.upstream;
    const auto at = policy_.origins.find("upstream");
    const Origin origin = at == policy_.origins.end() ? Origin() : at->second;
    if (upstream.proxy_resolves) {
      add(Severity::warning, "unchecked-address", origin,
          "the proxy resolves names: nobody checks that a granted one does not lead to a private network",
          "leave `resolve` out where this machine can resolve names itself");
    }
    if (!upstream.credential.empty() && !upstream.proxy_tls) {
      add(Severity::note, "proxy-password", origin, "the proxy's password goes to it unencrypted",
          "write https:// where the proxy speaks it");
    }
  }

  void judge_publish() {
    for (const Publish& one : policy_.publish) {
      if (is_loopback(one)) continue;
      add(Severity::warning, "public-port", one.origin,
          "port " + std::to_string(one.port) + " at " + one.address +
              " can be reached from other machines, and what answers is the workload",
          "leave the address out: then only this machine reaches it");
    }
  }

  void judge_credential(const Credential& credential) {
    const std::string name = "credential \"" + credential.name + "\"";
    const bool used =
        credential.name == policy_.upstream.credential ||
        std::ranges::any_of(policy_.grants, [&](const Grant& grant) { return grant.credential == credential.name; });
    if (!used) {
      add(Severity::note, "unused-credential", credential.origin, name + " is used by no grant",
          "leave it out, or name it in a [[grant]]");
    }
    if (credential.source == Credential::Source::command) {
      const std::string first = credential.source_value.substr(0, credential.source_value.find_first_of(" \t"));
      const bool in_reach = first.find('/') != std::string::npos && visible(first, true);
      add(in_reach ? Severity::warning : Severity::note, "command-source", credential.origin,
          name + " runs " + in_quotes(credential.source_value) + " on the host, with your rights, at each start" +
              (in_reach ? ", and the workload can change that program" : ""),
          in_reach ? "keep the program outside of what the policy mounts"
                   : "fine if the program is yours; say it with its full path");
    }
    if (credential.source == Credential::Source::login) judge_login(credential);
    if (credential.source == Credential::Source::file && visible(credential.source_value, false)) {
      add(Severity::warning, "credential-in-mount", credential.origin,
          name + " is read from " + in_quotes(credential.source_value) +
              ", which the workload sees: it needs no token to have the secret",
          "keep the file outside of what the policy mounts");
    }
  }

  void judge_login(const Credential& credential) {
    const std::string name = "credential \"" + credential.name + "\"";
    if (visible(credential.source_value, false)) {
      add(Severity::warning, "credential-in-mount", credential.origin,
          name + " is the login in " + in_quotes(credential.source_value) +
              ", which a mount would show: no session starts like that",
          "mount a copy without it (copy = true, except), or a folder below that is needed");
    }
    bool used = false, refreshed = false;
    for (const Grant& grant : policy_.grants) {
      if (grant.credential != credential.name) continue;
      used = true;
      refreshed = refreshed || std::ranges::any_of(grant.allow, [](const Rule& rule) { return rule.refresh; });
    }
    if (used && !refreshed) {
      add(Severity::note, "never-refreshed", credential.origin,
          name + " is a login that no grant lets be refreshed: it ends with the access token that the file holds",
          "grant its token endpoint one rule with `refresh = true`");
    }
  }

  void judge_mount(const Mount& mount) {
    if (mount.origin.layer == "default") return;  // nobody wrote it; a session's first line says so
    if (mount.copy || mount.mode == MountMode::ro || mount.mode == MountMode::review) return;
    const std::string name = "mount " + in_quotes(mount.path);
    if (!is_served(mount)) {
      add(Severity::note, "live-control", mount.origin,
          name +
              " is live: what the session writes there in control files (git hooks, editors' tasks) the host's tools "
              "run, before anybody is asked",
          "add `protect = true`, or use mode \"review\"");
    } else if (!mount.allow_control.empty()) {
      add(Severity::note, "allowed-control", mount.origin,
          name + " lets the session change " + escape_for_terminal(join(mount.allow_control, ", "), 300) +
              ", which the host's tools run or obey, and the host has it at once",
          "leave out of `allow_control` what the session need not write");
    }
  }

  // Is it inside a mount of the host's own (and one that can be written)?
  bool visible(const std::string& path, bool writable) const {
    const std::string absolute = absolute_path(path, place_);
    return std::ranges::any_of(policy_.mounts, [&](const Mount& mount) {
      if (mount.copy ? !in_copy(mount, inside(mount, absolute)) || writable : writable && mount.mode == MountMode::ro) {
        return false;
      }
      const std::string top = absolute_path(mount.path, place_);
      return absolute == top || top == "/" || absolute.starts_with(top + "/");
    });
  }
  std::string inside(const Mount& mount, const std::string& absolute) const {
    const std::string top = absolute_path(mount.path, place_) + "/";
    return absolute.starts_with(top) ? absolute.substr(top.size()) : std::string();
  }

  const Policy& policy_;
  const Place& place_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> lint(const Policy& policy, const Place& place) {
  return Linter(policy, place).run();
}

const char* name_of(Severity severity) {
  return severity == Severity::warning ? "warning" : "note";
}

std::string finding_line(const Finding& finding) {
  const Origin& origin = finding.origin;
  const std::string place = origin.file.empty() ? escape_for_terminal(origin.layer)
                                                : escape_for_terminal(origin.file) + ":" + std::to_string(origin.line);
  return place + ": " + name_of(finding.severity) + ": " + finding.text + "; " + finding.fix + " [" + finding.code +
         "]\n";
}

nlohmann::json to_json(const Finding& finding) {
  return {{"code", finding.code},        {"severity", name_of(finding.severity)}, {"layer", finding.origin.layer},
          {"file", finding.origin.file}, {"line", finding.origin.line},           {"text", finding.text},
          {"fix", finding.fix}};
}

}  // namespace bulkhead::advice
