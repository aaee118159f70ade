#include "advice/explain.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advice/advice.h"
#include "advice/remains.h"
#include "policy/show.h"
#include "policy/units.h"

namespace bulkhead::advice {
namespace {

// "32MB" as people write it.
std::string size_words(std::uint64_t bytes) {
  std::string text = size_text(bytes);
  const std::size_t unit = text.find_first_not_of("0123456789");
  if (unit != std::string::npos) text.insert(unit, " ");
  return text;
}

std::string shown(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + escape_for_terminal(word, 200);
  return out;
}

std::string verb_of(const std::string& method) {
  if (method == "GET") return "read";
  if (method == "HEAD") return "ask about";
  if (method == "POST") return "send";
  if (method == "PUT") return "write";
  if (method == "PATCH") return "change";
  if (method == "DELETE") return "delete";
  if (method == "OPTIONS") return "ask what can be done";
  if (method == "PROPFIND" || method == "SEARCH" || method == "REPORT" || method == "QUERY") return "query";
  if (method == "COPY") return "copy";
  if (method == "MOVE") return "move";
  if (method == "MKCOL") return "make folders";
  return "use " + method;
}

std::string body_words(const Rule& rule) {
  if (!writes(rule)) return "";
  const std::string what = rule.content_type == "application/json" ? "JSON"
                           : rule.content_type.empty()             ? "a body of any type"
                                                                   : escape_for_terminal(rule.content_type);
  return what + (rule.max_body ? " up to " + size_words(*rule.max_body) : " of any size");
}

std::string does(const Grant& grant, const Rule& rule) {
  if (grant.protocol == Protocol::grpc) {
    return "call it, each message stream " + (rule.max_body ? "up to " + size_words(*rule.max_body) : "of any size") +
           (rule.headers.empty() ? "" : "; metadata: " + shown(rule.headers));
  }
  const bool websocket = is_websocket(grant.protocol);
  std::vector<std::string> verbs;
  for (const std::string& method : rule.methods) {
    const std::string verb = verb_of(method);
    if (std::ranges::find(verbs, verb) == verbs.end()) verbs.push_back(verb);
  }
  std::string out = websocket ? "open a WebSocket, and send and get messages in it, each " +
                                    (rule.max_body ? "of at most " + size_words(*rule.max_body) : "of any size") + " up"
                              : join(verbs, ", ");
  if (const std::string body = body_words(rule); !body.empty()) {
    const bool sends = rule.methods.size() == 1 && rule.methods.front() == "POST";
    out += sends ? " " + body : ", with " + body;
  }
  const std::vector<std::string> segments = segments_of(rule.path);
  if (segments.back() == "**") {
    out += "; everything below " + escape_for_terminal(rule.path.substr(0, rule.path.size() - 2), 200);
  }
  std::vector<std::string> wild;
  for (const std::string& segment : segments) {
    if (segment == "{package}" && !rule.packages.empty()) continue;
    if (segment != "**" && is_wildcard(segment) && std::ranges::find(wild, segment) == wild.end()) {
      wild.push_back(segment);
    }
  }
  if (!wild.empty()) out += "; any " + shown(wild);
  if (const std::size_t count = rule.packages.size(); count > 0) {
    constexpr std::size_t named = 8;
    const auto end = rule.packages.begin() + static_cast<std::ptrdiff_t>(std::min(count, named));
    out += "; {package} only " + shown({rule.packages.begin(), end}) +
           (count > named ? " and " + std::to_string(count - named) + " more" : "");
  }
  if (rule.query == std::vector<std::string>{"*"}) {
    out += "; any query";
  } else if (!rule.query.empty()) {
    out += "; query keys: " + shown(rule.query);
  }
  if (rule.headers == std::vector<std::string>{"*"}) {
    out += "; any header";
  } else if (!rule.headers.empty()) {
    out += "; headers: " + shown(rule.headers);
  }
  if (rule.json) {
    for (const std::string& place : rule.json->allow_keys)
      out += "; only what is listed: " + escape_for_terminal(place);
    if (!rule.json->deny_keys.empty()) out += "; nothing at " + shown(rule.json->deny_keys);
    for (const auto& [place, values] : rule.json->require) {
      out += "; " + escape_for_terminal(place) + " has to be " + shown(values);
    }
    for (const auto& [place, values] : rule.json->allow_values) {
      out += "; " + escape_for_terminal(place) + " only " + shown(values);
    }
    for (const auto& [place, values] : rule.json->deny_values) {
      out += "; " + escape_for_terminal(place) + " never " + shown(values);
    }
  }
  if (rule.refresh) out += "; nothing but a refresh of the login";
  if (rule.git) {
    out +=
        "; a push to " + shown(rule.git->refs) + (rule.git->remove ? ", which may be deleted" : ", never a deletion");
  }
  return out;
}

std::string slot_words(const Credential& credential) {
  const bool answer = credential.source == Credential::Source::answer;
  std::string out = answer ? "handed out by servers while the session runs" : "read on the host from ";
  switch (credential.source) {
    case Credential::Source::answer:
      break;
    case Credential::Source::env:
      out += "the variable " + credential.source_value;
      break;
    case Credential::Source::login:
      out += "the agent's login in " + escape_for_terminal(credential.source_value);
      break;
    case Credential::Source::file:
      out += "the file " + escape_for_terminal(credential.source_value);
      break;
    case Credential::Source::secret_service:
      out += "the Secret Service, " + escape_for_terminal(credential.source_value, 200);
      break;
    case Credential::Source::systemd_creds:
      out += "systemd-creds, " + escape_for_terminal(credential.source_value, 200);
      break;
    case Credential::Source::command:
      out += "the output of `" + escape_for_terminal(credential.source_value, 200) + "`";
      break;
  }
  const bool login = credential.source == Credential::Source::login;
  out += login    ? "; the workload finds a file of that shape in its place, with tokens of the session's; a refresh "
                    "goes through the gateway, which writes what is new back to the file"
         : answer ? "; the values stay in the gateway, and the workload gets a numbered token for each"
         : credential.expose_env.empty() ? "; no variable of the workload's holds a token for it"
                                         : "; the workload holds a token in " + credential.expose_env;
  out += ", exchanged only in ";
  switch (credential.carrier) {
    case Credential::Carrier::header:
      out += "the header " + credential.header;
      break;
    case Credential::Carrier::bearer:
      out += "Authorization: Bearer";
      break;
    case Credential::Carrier::basic:
      out += "Authorization: Basic, user " + escape_for_terminal(credential.basic_user);
      break;
    case Credential::Carrier::sigv4:
      out += "signatures (SigV4) for " + escape_for_terminal(credential.service) + " in " +
             escape_for_terminal(credential.region) + ", which are made anew";
      break;
  }
  if (credential.optional) out += "; where it is not set, these functions are closed";
  return out;
}

std::string budget_words(const Grant& grant) {
  const Budget& budget = grant.budget;
  const std::string requests = is_websocket(grant.protocol) ? " connections" : " requests";
  std::vector<std::string> in_all, a_minute;
  if (budget.requests) in_all.push_back(std::to_string(*budget.requests) + requests);
  if (budget.bytes_up) in_all.push_back(size_words(*budget.bytes_up) + " up");
  if (budget.bytes_down) in_all.push_back(size_words(*budget.bytes_down) + " down");
  if (budget.requests_per_minute) a_minute.push_back(std::to_string(*budget.requests_per_minute) + requests);
  if (budget.bytes_up_per_minute) a_minute.push_back(size_words(*budget.bytes_up_per_minute) + " up");
  if (budget.bytes_down_per_minute) a_minute.push_back(size_words(*budget.bytes_down_per_minute) + " down");
  std::string out;
  if (!in_all.empty()) out = join(in_all, ", ") + " a session";
  if (!a_minute.empty()) out += (out.empty() ? "" : "; ") + join(a_minute, ", ") + " a minute";
  if (out.empty()) out = "no limit";
  if (grant.expires) out += "; ends " + duration_text(*grant.expires) + " after the session's start";
  return out;
}

std::string answer_words(const Grant& grant) {
  const ResponseRules& rules = grant.response;
  std::vector<std::string> parts;
  if (rules.max_body && is_websocket(grant.protocol)) {
    parts.push_back("messages of up to " + size_words(*rules.max_body));
  } else if (rules.max_body) {
    parts.push_back("up to " + size_words(*rules.max_body));
  }
  if (rules.content_type) parts.push_back("only " + shown(*rules.content_type));
  if (!rules.streaming) parts.push_back("held until they are whole");
  if (!rules.redact.empty()) parts.push_back("without the values at " + shown(rules.redact));
  if (!rules.issue.empty()) parts.push_back("with tokens in place of what is handed out at " + shown(rules.issue));
  if (!rules.follow.empty()) parts.push_back("redirects followed by the gateway to " + shown(rules.follow));
  return join(parts, "; ");
}

// Of each host, as an address begins.
std::vector<std::string> where(const Grant& grant) {
  std::vector<std::string> out;
  const std::string scheme = name_of(grant.protocol);
  const bool usual = grant.protocol != Protocol::tcp && grant.port == usual_port(is_plain(grant.protocol));
  for (const std::string& host : grant.hosts) {
    out.push_back(scheme + "://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") +
                  (usual ? "" : ":" + std::to_string(grant.port)) +
                  (grant.address.empty() ? "" : " at " + grant.address));
  }
  return out;
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Explanation explain(const Policy& policy) {
  Explanation out;
  out.profile = policy.profile;
  for (const std::string& source : policy.sources) out.sources.push_back(escape_for_terminal(source));
  out.ask = policy.ask;
  for (const Grant& grant : policy.grants) {
    ExplainedGrant one;
    one.id = grant.id;
    one.where = where(grant);
    one.credential = grant.credential;
    if (const auto it = policy.credentials.find(grant.credential); it != policy.credentials.end()) {
      one.slot = slot_words(it->second);
    }
    for (const Rule& rule : grant.allow) {
      one.functions.push_back(
          {escape_for_terminal(join(rule.methods, ", ") + " " + rule.path), does(grant, rule), rule.origin});
    }
    if (grant.protocol == Protocol::tcp) {
      one.functions.push_back({"any bytes", "Bulkhead cannot see inside this", {}});
    }
    one.budget = budget_words(grant);
    one.answers = answer_words(grant);
    one.remains = remaining(grant);
    one.preset = grant.preset;
    one.origin = grant.origin;
    out.grants.push_back(std::move(one));
  }
  const Upstream& upstream = policy.upstream;
  if (!upstream.proxy_host.empty() && !policy.grants.empty()) {
    out.around.push_back(
        {"proxy", "Everything goes through the proxy " + proxy_url(upstream) +
                      (upstream.no_proxy.empty() ? "" : ", but for " + join(upstream.no_proxy, ", ")) +
                      ": it sees which hosts are spoken to, when and how much, and all of what is not TLS."});
    if (upstream.proxy_resolves) {
      out.around.push_back({"unchecked-address",
                            "The proxy resolves names: nobody checks that a granted one does not "
                            "lead to a private network."});
    }
  }
  for (const Mount& mount : policy.mounts) {
    if (mount.copy || mount.mode == MountMode::ro || mount.mode == MountMode::review) continue;
    const std::string folder = escape_for_terminal(mount.path, 200);
    if (!is_served(mount)) {
      out.around.push_back(
          {"live", "What the session writes in " + folder +
                       " the host has at once, control files (git hooks, editors' tasks, agents' settings) included: "
                       "the host's tools run those. It is told of at the end; `protect = true` refuses it."});
      continue;
    }
    out.around.push_back(
        {"protected", "In " + folder +
                          " nothing that the host's tools run or obey by its name (git hooks and config, editors' "
                          "tasks, agents' settings) can be made, changed, moved or removed" +
                          (mount.allow_control.empty() ? "" : ", but for " + shown(mount.allow_control)) +
                          "; build inputs (package.json, Makefile) can, and are told of at the end" +
                          (mount.mode == MountMode::rw_no_delete
                               ? ". Of everything else that is lost or changed an original is kept (bulkhead restore)."
                               : ".")});
  }
  for (const Publish& one : policy.publish) {
    out.around.push_back(
        {"published", "Port " + std::to_string(one.port) + " at " + one.address + " leads to port " +
                          std::to_string(one.inside) + " inside" +
                          (is_loopback(one) ? "" : ", from other machines, too") +
                          ": what answers there is the workload, and whoever opens it sees what that wants."});
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t width, std::string_view first, std::size_t indent) {
  std::string out(first);
  std::size_t column = columns(first);
  bool fresh = true;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    if (!fresh && column + 1 + columns(word) > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      fresh = true;
    }
    if (!fresh) {
      out += ' ';
      ++column;
    }
    out += word;
    column += columns(word);
    fresh = false;
  }
  return out + "\n";
}

std::string explanation_text(const Explanation& explanation, std::size_t width, std::string_view bold,
                             std::string_view plain) {
  constexpr std::size_t indent = 14;
  const auto label = [](std::string text) {
    text.resize(indent, ' ');
    return text;
  };
  std::string out;
  if (explanation.grants.empty()) {
    out += wrapped("No host is granted: nothing of the network is reachable.", width, "", 0);
  }
  for (const ExplainedGrant& grant : explanation.grants) {
    for (const std::string& where : grant.where) out += std::string(bold) + where + std::string(plain) + "\n";
    out += wrapped("grant " + grant.id + ", " + origin_text(grant.origin) +
                       (grant.preset.empty() ? "" : ", preset " + escape_for_terminal(grant.preset)),
                   width, label("  from"), indent);
    if (!grant.credential.empty()) {
      out += wrapped(grant.credential + ": " + (grant.slot.empty() ? "defined nowhere" : grant.slot), width,
                     label("  credential"), indent);
    }
    std::string head = label("  functions");
    for (const Function& function : grant.functions) {
      out += wrapped(function.call + ": " + function.does, width, head, indent + 2);
      if (function.origin.line > 0 && function.origin.file != grant.origin.file) {
        out += wrapped("(" + origin_text(function.origin) + ")", width, std::string(indent + 2, ' '), indent + 2);
      } else if (function.origin.line > 0) {
        out += wrapped("(line " + std::to_string(function.origin.line) + ")", width, std::string(indent + 2, ' '),
                       indent + 2);
      }
      head = std::string(indent, ' ');
    }
    out += wrapped(grant.budget, width, label("  budget"), indent);
    if (!grant.answers.empty()) out += wrapped(grant.answers, width, label("  answers"), indent);
    head = label("  remains");
    for (const Remaining& remains : grant.remains) {
      out += wrapped(remains.text, width, head + "- ", indent + 2);
      head = std::string(indent, ' ');
    }
    out += "\n";
  }
  for (const Remaining& one : explanation.around) out += wrapped(one.text, width, "", 0) + "\n";
  out += wrapped(
      "Everything else is refused: other hosts, methods, paths and query keys, and every credential but "
      "the session's own token in its one place.",
      width, "", 0);
  if (!explanation.ask) return out;
  return out + wrapped(
                   "But whoever sits at the session's terminal is asked about requests that only lack a grant, and may "
                   "give it: once, for the session, or in the policy file (ask).",
                   width, "", 0);
}

nlohmann::json to_json(const Explanation& explanation) {
  const auto origin = [](const Origin& o) {
    return nlohmann::json{{"layer", o.layer}, {"file", o.file}, {"line", o.line}};
  };
  nlohmann::json grants = nlohmann::json::array();
  for (const ExplainedGrant& grant : explanation.grants) {
    nlohmann::json functions = nlohmann::json::array(), remains = nlohmann::json::array();
    for (const Function& f : grant.functions) {
      functions.push_back({{"call", f.call}, {"does", f.does}, {"from", origin(f.origin)}});
    }
    for (const Remaining& r : grant.remains) remains.push_back({{"code", r.code}, {"text", r.text}});
    grants.push_back({{"id", grant.id},
                      {"where", grant.where},
                      {"credential", grant.credential},
                      {"slot", grant.slot},
                      {"functions", functions},
                      {"budget", grant.budget},
                      {"answers", grant.answers},
                      {"remains", remains},
                      {"preset", grant.preset},
                      {"from", origin(grant.origin)}});
  }
  nlohmann::json around = nlohmann::json::array();
  for (const Remaining& one : explanation.around) around.push_back({{"code", one.code}, {"text", one.text}});
  return {{"profile", explanation.profile},
          {"sources", explanation.sources},
          {"ask", explanation.ask},
          {"grants", grants},
          {"around", around}};
}

}  // namespace bulkhead::advice
