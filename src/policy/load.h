// One policy file -> a Document. Every key is optional but `version`; every key is checked; the
// first thing wrong is the error "FILE:LINE: what, and how to write it", and then nothing of the
// file is used.
//
// Three kinds of files share the schema (bulkhead-policy(5), docs/policy-example.toml):
//   policy    what a user writes: everything
//   profile   profiles/NAME.toml: everything but `profile`, `upstream` and `publish`
//   preset    presets/NAME.toml: [parameters], and [[grant]] with host, port, protocol, allow, budget
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

// A [[grant]] as written. With `grant.preset` set it names functions by their preset: host and
// allow are empty until profile.h expands it, and `grant.budget` holds only what stands beside the
// preset's own.
struct Document {
  std::string layer;  // becomes Origin::layer of everything in it
  std::string file;
  std::optional<Tier> tier;
  std::optional<bool> old_runsc;     // `runsc`
  std::optional<std::string> image;  // "host": none
  std::vector<Mount> mounts;
  std::optional<MountMode> workspace;  // of the working directory, when no mount shows it
  bool no_workspace = false;           // "none": it is not shown then
  std::map<std::string, Credential> credentials;
  std::vector<Grant> grants;
  Environment env;
  Limits limits;
  std::optional<std::vector<std::string>> upstream_ca, dns_servers;
  std::optional<Upstream> upstream;
  std::vector<Publish> publish;
  std::optional<bool> toolchains;
  std::optional<bool> processes, files;   // of [evidence]
  std::optional<bool> ask;                // of the user's own policy alone
  std::optional<std::string> profile;     // a name, or "none"
  std::vector<std::string> arguments;     // of a profile
  std::map<std::string, Origin> origins;  // keys as in Policy::origins
};

enum class DocumentKind { policy, profile, preset };

// `file` is only a name here. Never throws and never aborts, whatever the text is.
Result<Document> load_document(std::string_view text, const std::string& file, const std::string& layer,
                               DocumentKind kind = DocumentKind::policy);

// A preset with its parameters as `named`, the grant that names it, says; null: with examples, to look at the file by
// itself (as load_document does).
Result<Document> load_preset(std::string_view text, const std::string& file, const std::string& layer,
                             const Grant* named);

// Reads the file (at most max_toml_bytes), then as above.
Result<Document> load_document_file(const std::string& path, const std::string& layer,
                                    DocumentKind kind = DocumentKind::policy);

}  // namespace bulkhead
