// policy/: what a session may do, as plain data. TOML text -> Policy; layers; profiles; presets.
// Pure: nothing here touches the system beyond reading the files it is told to read.
//
//   policy.h    the data (this file)
//   load.h      TOML -> Document (one file, every key checked), errors with file, line and a suggestion
//   layers.h    Documents, strongest first -> Policy
//   profile.h   the shipped data files in profiles/ and presets/
//   effective.h all of the above in one call: what the command line asks for -> Policy
//   show.h      Policy -> text a person (and load.h) can read
//   json_path.h places in a JSON document, as rules about bodies name them
//   json.h      Grant <-> JSON, for the processes that judge requests
//   toml.h      the TOML parser's one translation unit; reader.h, names.h, units.h: what load.h is made of
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead {

enum class Tier { native, gvisor, vm };
enum class MountMode { ro, rw, rw_no_delete, review };
enum class Protocol { https, http };

// Where a rule came from, for `policy show`, errors and evidence.
struct Origin {
  std::string layer;  // "command line", "user", "profile claude", "preset anthropic-messages", "default"
  std::string file;   // empty when it has none
  int line = 0;
};

struct Mount {
  std::string path;    // as written: absolute, `~/…`, or relative to the working directory
  std::string target;  // where the workload sees it; empty = at the same path
  MountMode mode = MountMode::ro;
  bool optional = false;  // skipped when the host has no such path
  bool copy = false;      // a private copy, thrown away at the end: the host's own is never written
  // Left out of the copy (copy only). For a folder: paths relative to it, each with all that is below. For a file
  // that holds one JSON object: its top-level keys. A copy that can't leave them out is refused, never made whole.
  std::vector<std::string> except;
  Origin origin;
};

struct Credential {
  enum class Source { env, file, command };
  enum class Carrier { header, bearer, basic };
  std::string name;
  Source source = Source::env;
  std::string source_value;   // variable name, path, or shell command
  std::string expose_env;     // the workload finds the session's token in this variable; empty = in none
  std::string expose_prefix;  // put before the token, for tools that check what a key looks like
  Carrier carrier = Carrier::header;
  std::string header;      // lower case; for Carrier::header
  std::string basic_user;  // for Carrier::basic: the user name that goes with it
  bool optional = false;   // a missing source leaves its grants closed instead of refusing to start
  Origin origin;
};

// What a body in JSON may say. Places are paths into the document (json_path.h); values are texts, a final `*` of which
// stands for any rest.
struct JsonRules {
  std::vector<std::string> deny_keys;                            // places where nothing may be
  std::map<std::string, std::vector<std::string>> deny_values;   // what must not be at a place
  std::map<std::string, std::vector<std::string>> allow_values;  // what is at a place, if anything, is one of these
  std::map<std::string, std::vector<std::string>> require;       // as allow_values, and something is there
};

// One thing a grant allows. A request must match every field.
struct Rule {
  std::vector<std::string> methods;       // upper case, never empty
  std::string path;                       // template: `/v1/items/{id}`, `*` = one segment, `**` only last
  std::vector<std::string> query;         // closed list of keys; {"*"} = any key that is no credential carrier
  std::string content_type;               // exact media type (parameters ignored); empty = any
  std::optional<std::uint64_t> max_body;  // bytes; unset = the grant's bytes_up only
  std::optional<JsonRules> json =
      std::nullopt;  // judged before any of the body goes up; needs content_type and max_body
};

struct Budget {
  std::optional<std::uint64_t> requests, requests_per_minute, bytes_up, bytes_down;
};

struct Grant {
  std::string id;    // "1", "2", …: stable within a session, named in evidence
  std::string host;  // canonical lower case; `*.example.com` = exactly one more label; or an IP literal
  std::uint16_t port = 443;
  Protocol protocol = Protocol::https;
  std::string credential;   // name, or empty
  std::vector<Rule> allow;  // empty = nothing, never everything
  Budget budget;
  std::string preset;  // the preset that made it, or empty
  Origin origin;
};

struct Environment {
  std::map<std::string, std::string> set;  // name -> value
  std::vector<std::string> pass;           // names copied from the host; credentials are never passed
};

struct Limits {
  std::optional<std::uint64_t> memory;  // bytes, whole session
  std::optional<std::uint64_t> processes;
  std::optional<std::uint64_t> open_files;  // per process
  std::optional<std::uint64_t> tmp;         // bytes of /tmp and the other in-memory folders, each
  std::optional<std::chrono::seconds> duration;
};

struct Policy {
  Tier tier = Tier::native;
  std::vector<Mount> mounts;
  std::map<std::string, Credential> credentials;
  std::vector<Grant> grants;
  Environment env;
  Limits limits;
  std::vector<std::string> upstream_ca;  // PEM files trusted beside the system's for what egress dials
  std::vector<std::string> dns_servers;  // "ADDRESS[:PORT]" egress asks; empty = /etc/resolv.conf
  bool toolchains = true;                // ~/.nvm, ~/.cargo/bin, … read-only where they exist
  std::string profile;                   // name, or empty
  std::vector<std::string> arguments;    // what the profile puts behind the name of its own command
  std::vector<std::string> sources;      // the files this came from, strongest first
  // Where single values came from: "tier", "limits.memory", "env.set.NAME", "env.pass.NAME", "upstream_ca", …
  std::map<std::string, Origin> origins;
};

const char* name_of(Tier tier);
const char* name_of(MountMode mode);
const char* name_of(Protocol protocol);

}  // namespace bulkhead
