// policy/: what a session may do, as plain data. TOML text -> Policy; layers; profiles; presets.
// Pure: nothing here touches the system beyond reading the files it is told to read.
//
//   policy.h    the data (this file)
//   load.h      TOML -> Document (one file, every key checked), errors with file, line and a suggestion
//   layers.h    Documents, strongest first -> Policy
//   profile.h   the shipped data files in profiles/ and presets/
//   effective.h all of the above in one call: what the command line asks for -> Policy
//   show.h      Policy -> text a person (and load.h) can read
//   parameters.h what a preset leaves to the grant that names it
//   publish.h   what --publish and `publish` say
//   project.h, managed.h   what narrows a policy: a project's own, an administrator's (managed_folder.h finds it)
//   git_ref.h   names of git refs and patterns over them
//   json_path.h places in a JSON document, as rules about bodies name them
//   json.h      Grant <-> JSON, for the processes that judge requests
//   toml.h      the TOML parser's one translation unit; reader.h, names.h, units.h: what load.h is made of
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

enum class Tier { native, gvisor, vm };
enum class MountMode { ro, rw, rw_no_delete, review };
// tcp: an opaque connection; nothing inside it is judged, and it carries no credential of ours. grpc: over https, with
// HTTP/2 on both sides. wss, ws: a WebSocket, over TLS or plain; its opening request is judged as any GET is.
enum class Protocol { https, http, tcp, grpc, wss, ws };

// Where a rule came from, for `policy show`, errors and evidence.
struct Origin {
  std::string layer;  // "command line", "user", "profile claude", "preset anthropic-messages", "default"
  std::string file;   // empty when it has none
  int line = 0;
  bool operator==(const Origin&) const = default;
};

// A folder that is empty inside at the start, and what is collected from it at the end ([[output]]).
struct Output {
  std::uint64_t max_size = 0;   // bytes of all files; it is that much memory at most, too
  std::uint64_t max_files = 0;  // files and folders
  bool apply = false;           // lands at the session's end; else it is a review, for `bulkhead apply`
  bool operator==(const Output&) const = default;
};

struct Mount {
  std::string path;    // as written: absolute, `~/…`, or relative to the working directory
  std::string target;  // where the workload sees it; empty = at the same path
  MountMode mode = MountMode::ro;
  bool optional = false;  // skipped when the host has no such path
  bool copy = false;      // a private copy, thrown away at the end: the host's own is never written
  // What the copy holds, where not everything, and what it leaves out (copy only). For a folder: paths relative to it,
  // each with all that is below. For a file that holds one JSON object: its top-level keys. A copy that can't be made
  // of a part is refused, never made whole.
  std::optional<std::vector<std::string>> only;
  std::vector<std::string> except;
  // Mode rw: control files (trust/catalogue.h) can't be changed. Mode rw-no-delete has that by itself.
  bool protect = false;
  // Patterns (trust/pattern.h) of those that may be, each with all that is below it.
  std::vector<std::string> allow_control = {};
  // The credential stores (secrets.h) that it brings in and may, if the command line says so, too; paths as `path`.
  std::vector<std::string> secrets = {};
  std::optional<Output> output = std::nullopt;  // mode review, always: what of the host is there is not shown
  Origin origin;
};

// An agent's own login (OAuth): a file in JSON on the host that holds its tokens, and how they are refreshed. Places
// are keys with dots between them. The session has a file of the same shape with its own tokens in it
// (credential/login.h).
struct Login {
  std::string access, refresh;      // where the two are; both have to be there
  std::string id;                   // where the ID token is; empty: the session gets none
  std::string expires, refreshed;   // when the access token ends (ms since 1970), when it was made (RFC 3339)
  std::vector<std::string> keep;    // what else of the file the session sees; everything below each
  std::vector<std::string> claims;  // not empty: access and ID token are JWTs, and these claims stay readable
  // What a refresh may say beside grant_type and refresh_token: fields, and the words each may consist of (a final `*`
  // stands for any rest).
  std::map<std::string, std::vector<std::string>> send;
  bool operator==(const Login&) const = default;
};

struct Credential {
  // answer: there is nothing to read; its values are what servers hand out during the session (ResponseRules::issue).
  // login: an agent's own, of which there are several values; they change while the session runs.
  enum class Source { env, file, command, secret_service, systemd_creds, answer, login };
  enum class Carrier { header, bearer, basic, sigv4 };
  std::string name;
  Source source = Source::env;
  std::string source_value;   // what stands behind the source's colon: a variable, a path, a shell command…
  std::string expose_env;     // the workload finds the session's token in this variable; empty = in none
  std::string expose_prefix;  // put before the token, for tools that check what a key looks like
  Carrier carrier = Carrier::header;
  std::string header;      // lower case; for Carrier::header
  std::string basic_user;  // for Carrier::basic: the user name that goes with it
  // For Carrier::sigv4: requests are signed for exactly this; the secret is ACCESS_KEY_ID:SECRET_KEY[:SESSION_TOKEN],
  // and expose_env holds the session's own key id, this the key that goes with it.
  std::string region, service, expose_secret_env;
  bool optional = false;                      // a missing source leaves its grants closed instead of refusing to start
  std::optional<Login> login = std::nullopt;  // with Source::login, always
  Origin origin = {};
};

// What a body in JSON may say. Places are paths into the document (json_path.h); values are texts, a final `*` of which
// stands for any rest.
struct JsonRules {
  std::vector<std::string> deny_keys;                            // places where nothing may be
  std::map<std::string, std::vector<std::string>> deny_values;   // what must not be at a place
  std::map<std::string, std::vector<std::string>> allow_values;  // what is at a place, if anything, is one of these
  std::map<std::string, std::vector<std::string>> require;       // as allow_values, and something is there
  // Where one of these may stand nothing else may: `a.b`, `a.c` close the object at `a`, `x`, `y` the outermost.
  std::vector<std::string> allow_keys = {};
  bool operator==(const JsonRules&) const = default;
};

// What a push over git's smart HTTP may do (gateway/grant/git_push.h).
struct GitRules {
  std::vector<std::string> refs;               // full names, a final `*` stands for any rest; never empty
  bool remove = false;                         // may delete them
  std::vector<std::string> push_options = {};  // closed list, a final `*` stands for any rest; empty = none
  bool operator==(const GitRules&) const = default;
};

// One thing a grant allows. A request must match every field.
struct Rule {
  std::vector<std::string> methods;       // upper case, never empty
  std::string path;                       // template: `/v1/items/{id}`, `*` = one segment, `**` only last
  std::vector<std::string> query;         // closed list of keys; {"*"} = any key that is no credential carrier;
                                          // `key=value`: has to be there, once, with one of the values listed for it
  std::string content_type;               // exact media type (parameters ignored); empty = any
  std::optional<std::uint64_t> max_body;  // bytes; unset = the grant's bytes_up only
  std::optional<JsonRules> json =
      std::nullopt;  // judged before any of the body goes up; needs content_type and max_body
  // Closed list of request headers beside the everyday ones (gateway/grant/headers.h), lower case; `x-app-*` is any
  // that begins so, {"*"} any that carries no credential and overrides nothing.
  std::vector<std::string> headers = {};
  Origin origin = {};                          // where it is written: for a preset's rule, in the preset's file
  std::optional<GitRules> git = std::nullopt;  // the list of refs is judged before any of the body goes up
  // This path and query alone, as received; empty = no such limit. Not of a policy file: what was allowed once.
  std::string target = {};
  // The request is a refresh of the grant's login (Source::login), and nothing else: its body is judged and made anew.
  bool refresh = false;
  // What `{package}` may be in the path (gateway/grant/target.h), in lower case; empty = any. Then the path has one.
  std::vector<std::string> packages = {};
  bool operator==(const Rule&) const = default;  // but for what it says, also where it is written
};

// Of bodies. Per minute means any sixty seconds; unset is no limit of that kind.
struct Budget {
  std::optional<std::uint64_t> requests, requests_per_minute;
  std::optional<std::uint64_t> bytes_up, bytes_down, bytes_up_per_minute, bytes_down_per_minute;
  bool operator==(const Budget&) const = default;
};

// What may come back.
struct ResponseRules {
  std::optional<std::uint64_t> max_body;                 // bytes of one answer
  std::optional<std::vector<std::string>> content_type;  // closed list of media types; unset = any
  // False: an answer is held until it is whole, then passed on; event streams are refused. Needs max_body.
  bool streaming = true;
  std::vector<std::string> redact;  // places in an answer in JSON whose values don't reach the workload; not streamed
  // Places whose values become values of the grant's credential (Source::answer): egress keeps them, the workload gets
  // numbered tokens in their place. Not streamed.
  std::vector<std::string> issue = {};
  // Hosts to which egress follows a redirect itself, once, over https and without the credential: the workload gets the
  // answer from there, and never the link. Only of a GET or HEAD.
  std::vector<std::string> follow = {};
  bool operator==(const ResponseRules&) const = default;
};

// What a grant says for a parameter of its preset (parameters.h).
struct PresetArgument {
  std::vector<std::string> values;
  int line = 0;
};

struct Grant {
  std::string id;  // "1", "2", …: stable within a session, named in evidence
  // Never empty. Canonical lower case; `*.example.com` = exactly one more label; or an IP literal.
  std::vector<std::string> hosts;
  // Dialled in place of whatever the one host's name would resolve to, private or not; empty = resolve it.
  std::string address = {};
  // How many names a session may use of all wildcards here: each is data for whoever runs the zone.
  std::uint64_t labels = 16;
  std::uint16_t port = 443;
  Protocol protocol = Protocol::https;
  std::string credential;   // name, or empty
  std::vector<Rule> allow;  // empty = nothing, never everything; a tcp grant has none
  Budget budget;
  ResponseRules response;
  std::optional<std::chrono::seconds> expires;  // after the session's start; unset = with the session
  std::string preset;                           // the preset that made it, or empty
  std::string preset_sha256 = {};               // of that preset's file, in hex; not for those who judge requests
  Origin origin;
  std::map<std::string, PresetArgument> with = {};  // for the preset; it is in the rules once they are expanded
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
  // Of what an image is unpacked to: bytes, and files with folders.
  std::optional<std::uint64_t> image_size, image_files;
  std::optional<std::chrono::seconds> cpu;       // of all its processes together
  std::optional<std::uint64_t> cpus;             // how many it may run on at once
  std::optional<std::uint64_t> output;           // bytes on the command's standard output and error
  std::optional<std::uint64_t> file_size;        // bytes, of each file a process writes
  std::optional<std::chrono::seconds> idle;      // a session that lives, without a command
  std::optional<std::uint64_t> tenant_sessions;  // that run at once and have the same label `tenant`
  std::optional<std::uint64_t> tenant_memory;    // bytes; what those may have together
  bool operator==(const Limits&) const = default;
};

// How egress reaches what is outside: directly, or by a proxy that the network wants ([upstream]).
struct Upstream {
  bool proxy_tls = false;  // TLS to the proxy itself
  std::string proxy_host;  // a name or an address, as a grant's host; empty = no proxy
  std::uint16_t proxy_port = 0;
  std::string credential;             // what the proxy asks for, carried as Basic; empty = none
  std::vector<std::string> no_proxy;  // hosts that are dialled directly, written as a grant's
  // The proxy is told names and resolves them: which address they lead to can't be checked then.
  bool proxy_resolves = false;
  bool operator==(const Upstream&) const = default;
};
std::string proxy_url(const Upstream& upstream);  // "http://proxy.example.com:3128"; "" without one

// A port of the host on which a server inside is reached.
struct Publish {
  std::string address = "127.0.0.1";  // of the host's; IPv6 without brackets
  std::uint16_t port = 0;             // of the host's
  std::uint16_t inside = 0;           // where the workload's server listens
  Origin origin;
};
std::string publish_text(const Publish& publish);  // "127.0.0.1:8080:80"
bool is_loopback(const Publish& publish);

struct Managed;

struct Policy {
  Tier tier = Tier::native;
  // The tier gvisor is to use Debian 12's runsc, of 2022, and no other (tier/gvisor/fallback.h).
  bool old_runsc = false;
  // What stands in the place of the host's own /usr and the rest (image/image.h), as written: a folder, or an OCI image
  // as `PATH[:NAME]`. Empty: the host's.
  std::string image = {};
  std::vector<Mount> mounts;
  bool no_workspace = false;  // the working directory is not among them, on purpose
  std::map<std::string, Credential> credentials;
  std::vector<Grant> grants;
  Environment env;
  Limits limits;
  std::vector<std::string> upstream_ca;  // PEM files trusted beside the system's for what egress dials
  std::vector<std::string> dns_servers;  // "ADDRESS[:PORT]" egress asks; empty = /etc/resolv.conf
  Upstream upstream;
  std::vector<Publish> publish;
  bool ask = false;  // the person at the terminal, about what no grant allows
  // Whether each process, file opened to be written and connection is recorded ([evidence]); unset: where the tier can.
  std::optional<bool> processes;
  // Whether each change of files in folders that the session may change is recorded, as the host sees it ([evidence]);
  // unset: on the tier vm.
  std::optional<bool> files;
  bool toolchains = true;              // ~/.nvm, ~/.cargo/bin, … read-only where they exist
  std::string profile;                 // name, or empty
  std::vector<std::string> arguments;  // what the profile puts behind the name of its own command
  std::vector<std::string> sources;    // the files this came from, strongest first
  // Where single values came from: "tier", "limits.memory", "env.set.NAME", "env.pass.NAME", "upstream_ca", …
  std::map<std::string, Origin> origins;
  // What the machine's administrator lets policies say (managed.h); this one has been held to it. Null: nothing is
  // said.
  std::shared_ptr<const Managed> managed = nullptr;
};

// Live, and served by a process of ours, which judges every change (keep/keep.h).
bool is_served(const Mount& mount);
// Whether `path`, relative to the mount's folder, is in the private copy.
bool in_copy(const Mount& mount, std::string_view path);
// Whether it isn't itself, but a folder on the way to what is.
bool leads_to_copied(const Mount& mount, std::string_view path);

const char* name_of(Tier tier);
const char* name_of(MountMode mode);
const char* name_of(Protocol protocol);
bool is_websocket(Protocol protocol);            // wss, ws
bool is_websocket(std::string_view scheme);      // as grants and requests name what a connection becomes
bool is_plain(Protocol protocol);                // http, ws: without TLS
bool is_plain(std::string_view scheme);          // of a URL
std::uint16_t usual_port(bool plain);            // 80, 443: which a URL need not name
const char* name_of(Credential::Source source);  // as it is written: "env", "secret-service", …

}  // namespace bulkhead
