#include "trust/git_config.h"

#include <algorithm>
#include <array>

#include "base/filter.h"
#include "base/text.h"
#include "trust/pattern.h"

namespace bulkhead::trust {
namespace {

// Keys that only say how things look, are counted or are merged. `*` is any part, dots included.
constexpr std::array harmless = {
    "core.repositoryformatversion",
    "core.filemode",
    "core.bare",
    "core.logallrefupdates",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.symlinks",
    "core.autocrlf",
    "core.eol",
    "core.safecrlf",
    "core.quotepath",
    "core.abbrev",
    "core.untrackedcache",
    "core.preloadindex",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.commitgraph",
    "core.multipackindex",
    "core.whitespace",
    "core.compression",
    "core.longpaths",
    "core.protecthfs",
    "core.protectntfs",
    "core.hidedotfiles",
    "core.checkstat",
    "core.trustctime",
    "core.deltabasecachelimit",
    "core.bigfilethreshold",
    "core.packedgitlimit",
    "core.sharedrepository",
    "user.name",
    "user.email",
    "user.signingkey",
    "user.useconfigonly",
    "author.name",
    "author.email",
    "committer.name",
    "committer.email",
    "remote.*.fetch",
    "remote.*.push",
    "remote.*.tagopt",
    "remote.*.prune",
    "remote.*.prunetags",
    "remote.*.mirror",
    "remote.*.promisor",
    "remote.*.partialclonefilter",
    "remote.*.skipfetchall",
    "remote.*.followremotehead",
    "remote.*.gh-resolved",
    "remote.pushdefault",
    "remotes.*",
    "branch.*.remote",
    "branch.*.merge",
    "branch.*.rebase",
    "branch.*.pushremote",
    "branch.*.description",
    "branch.*.vscode-merge-base",
    "branch.*.gh-merge-base",
    "branch.*.github-pr-owner-number",
    "branch.autosetupmerge",
    "branch.autosetuprebase",
    "branch.sort",
    "submodule.*.active",
    "submodule.active",
    "submodule.recurse",
    "submodule.*.branch",
    "submodule.*.ignore",
    "submodule.*.shallow",
    "submodule.*.path",
    "submodule.fetchjobs",
    "extensions.worktreeconfig",
    "extensions.objectformat",
    "extensions.partialclone",
    "extensions.noop",
    "extensions.preciousobjects",
    "extensions.refstorage",
    "extensions.compatobjectformat",
    "pull.rebase",
    "pull.ff",
    "push.default",
    "push.autosetupremote",
    "push.followtags",
    "fetch.prune",
    "fetch.prunetags",
    "fetch.parallel",
    "fetch.writecommitgraph",
    "merge.conflictstyle",
    "merge.ff",
    "merge.renames",
    "merge.log",
    "rebase.autostash",
    "rebase.autosquash",
    "rebase.updaterefs",
    "rerere.enabled",
    "rerere.autoupdate",
    "commit.gpgsign",
    "commit.verbose",
    "commit.cleanup",
    "tag.gpgsign",
    "tag.sort",
    "gc.*",
    "pack.*",
    "maintenance.auto",
    "maintenance.strategy",
    "feature.manyfiles",
    "feature.experimental",
    "index.version",
    "index.threads",
    "index.sparse",
    "color.*",
    "column.*",
    "advice.*",
    "status.*",
    "log.date",
    "log.decorate",
    "log.follow",
    "init.defaultbranch",
    "diff.renames",
    "diff.algorithm",
    "diff.colormoved",
    "diff.mnemonicprefix",
    "diff.noprefix",
    "diff.submodule",
    "help.autocorrect",
    "lfs.repositoryformatversion",
    "lfs.*.access",
    "lfs.locksverify",
    "lfs.*.locksverify",
    "gui.wmstate",
    "gui.geometry",
    "receive.denycurrentbranch",
    "receive.denynonfastforwards",
    "blame.ignorerevsfile",
    "format.pretty",
    "grep.*",
    "worktree.guessremote",
    "checkout.defaultremote",
    "checkout.workers",
    "transfer.fsckobjects",
    "fetch.fsckobjects",
    "receive.fsckobjects",
};

// What acts, in words. {} is the value, * the part of the key between section and name.
struct Acts {
  const char* key;
  const char* sentence;
};
constexpr std::array acts = {
    Acts{"core.fsmonitor", "runs `{}` at every git status, diff, add and checkout"},
    Acts{"core.hookspath", "takes git's hooks from {}"},
    Acts{"core.sshcommand", "runs `{}` in place of ssh at every fetch and push"},
    Acts{"core.pager", "runs `{}` to show what git prints"},
    Acts{"pager.*", "runs `{}` to show what git prints (*)"},
    Acts{"core.editor", "runs `{}` as the editor"},
    Acts{"sequence.editor", "runs `{}` as the editor of a rebase"},
    Acts{"core.askpass", "runs `{}` when git wants a password"},
    Acts{"core.gitproxy", "runs `{}` for git:// connections"},
    Acts{"core.worktree", "takes {} for the folder that git works in"},
    Acts{"core.attributesfile", "takes attributes (filters, drivers) from {}"},
    Acts{"core.excludesfile", "hides files from git by the list in {}"},
    Acts{"core.alternaterefscommand", "runs `{}` at every fetch"},
    Acts{"filter.*.clean", "runs `{}` at git add and status, for files that an attribute names (filter *)"},
    Acts{"filter.*.smudge", "runs `{}` at every checkout, for files that an attribute names (filter *)"},
    Acts{"filter.*.process",
         "runs `{}` at every checkout, add and status, for files that an attribute names (filter *)"},
    Acts{"diff.external", "runs `{}` at every git diff"},
    Acts{"diff.*.command", "runs `{}` at git diff, for files that an attribute names (driver *)"},
    Acts{"diff.*.textconv", "runs `{}` at git diff and log, for files that an attribute names (driver *)"},
    Acts{"diff.tool", "makes `{}` the tool of git difftool"},
    Acts{"difftool.*.cmd", "runs `{}` at git difftool (*)"},
    Acts{"difftool.*.path", "runs `{}` at git difftool (*)"},
    Acts{"mergetool.*.cmd", "runs `{}` at git mergetool (*)"},
    Acts{"mergetool.*.path", "runs `{}` at git mergetool (*)"},
    Acts{"merge.*.driver", "runs `{}` at a merge, for files that an attribute names (driver *)"},
    Acts{"interactive.difffilter", "runs `{}` at git add -p"},
    Acts{"credential.helper", "runs `{}` to get and store passwords"},
    Acts{"credential.*.helper", "runs `{}` to get and store passwords for *"},
    Acts{"gpg.program", "runs `{}` to sign and verify"},
    Acts{"gpg.*.program", "runs `{}` to sign and verify (*)"},
    Acts{"gpg.ssh.defaultkeycommand", "runs `{}` to find a signing key"},
    Acts{"include.path", "reads more config from {}"},
    Acts{"includeif.*.path", "reads more config from {} (if *)"},
    Acts{"url.*.insteadof", "goes to * in place of {}"},
    Acts{"url.*.pushinsteadof", "pushes to * in place of {}"},
    Acts{"remote.*.uploadpack", "runs `{}` for a fetch from *"},
    Acts{"remote.*.receivepack", "runs `{}` for a push to *"},
    Acts{"remote.*.vcs", "runs `git-remote-{}` for everything with *"},
    Acts{"remote.*.proxy", "goes through the proxy {} for *"},
    Acts{"remote.*.pushurl", "pushes to {} (remote *)"},
    Acts{"http.proxy", "goes through the proxy {}"},
    Acts{"http.*", "sets http.* = {}"},
    Acts{"protocol.allow", "opens git's protocols: {}"},
    Acts{"protocol.*.allow", "opens git's protocol *: {}"},
    Acts{"submodule.*.update", "updates the submodule * by {}"},
    Acts{"man.*.cmd", "runs `{}` at git help (*)"},
    Acts{"browser.*.cmd", "runs `{}` to show a page (*)"},
    Acts{"web.browser", "runs `{}` to show a page"},
    Acts{"instaweb.httpd", "runs `{}` at git instaweb"},
    Acts{"sendemail.smtpserver", "sends mail through {}"},
    Acts{"uploadpack.packobjectshook", "runs `{}` for every fetch from here"},
    Acts{"trailer.*.command", "runs `{}` at commits with trailers (*)"},
    Acts{"trailer.*.cmd", "runs `{}` at commits with trailers (*)"},
    Acts{"lfs.customtransfer.*", "runs `{}` for large files (*)"},
    Acts{"lfs.url", "takes large files from {}"},
    Acts{"safe.directory", "makes git trust the folder {}"},
};

std::string replace(std::string text, std::string_view what, std::string_view with) {
  if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

// What `*` of the pattern stands for.
std::string_view starred(std::string_view pattern, std::string_view key) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return {};
  return key.substr(star, key.size() - (pattern.size() - 1));
}

// An address that git fetches from without running anything of the repository's choice.
bool plain_url(std::string_view url) {
  if (url.empty() || url.front() == '-' || url.find("::") != std::string_view::npos) return false;
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return true;  // host:path, or a path
  const std::string_view name = url.substr(0, scheme);
  const bool known = name == "https" || name == "http" || name == "ssh" || name == "git" || name == "file" ||
                     name == "git+ssh" || name == "ssh+git";
  return known && !url.substr(scheme + 3).starts_with('-');
}

}  // namespace

Result<std::vector<GitConfigEntry>> read_git_config(std::string_view bytes) {
  Filter filter;
  filter.places = {"/usr/bin/git", "/usr/local/bin/git"};
  filter.arguments = {"git", "config", "--file", "-", "--no-includes", "-z", "--list"};
  filter.environment = {"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_DIR=/dev/null",
                        "HOME=/nonexistent",     "PATH=/usr/bin:/bin",          "LC_ALL=C"};
  filter.inputs = {bytes};
  BH_TRY(const Filtered filtered, run_filter(filter));
  if (filtered.status != 0) return fail("git refuses it");
  if (!filtered.out.empty() && filtered.out.back() != '\0') return fail("git's answer is cut off");
  std::vector<GitConfigEntry> out;
  for (std::size_t at = 0; at < filtered.out.size();) {
    const std::size_t end = filtered.out.find('\0', at);
    const std::string_view entry = std::string_view(filtered.out).substr(at, end - at);
    const std::size_t line = entry.find('\n');  // a key without a value has none, and means true
    out.push_back({std::string(entry.substr(0, line)),
                   line == std::string_view::npos ? "true" : std::string(entry.substr(line + 1))});
    at = end + 1;
  }
  return out;
}

std::string what_git_would_do(const GitConfigEntry& entry) {
  const std::string_view key = entry.key;
  if (key.starts_with("alias.")) {
    if (entry.value.starts_with('!'))
      return "runs `" + entry.value.substr(1) + "` at git " + std::string(key.substr(6));
    return "makes git " + std::string(key.substr(6)) + " mean git " + entry.value;
  }
  const bool is_url = (key.starts_with("remote.") || key.starts_with("submodule.")) && key.ends_with(".url");
  if (is_url && plain_url(entry.value)) return "";
  if (key == "core.fsmonitor" && (entry.value == "false" || entry.value == "0" || entry.value == "no")) return "";
  for (const Acts& one : acts) {
    if (wildcard_matches(one.key, key)) {
      return replace(replace(one.sentence, "*", starred(one.key, key)), "{}", entry.value);
    }
  }
  const bool known = std::any_of(harmless.begin(), harmless.end(),
                                 [&](const char* pattern) { return wildcard_matches(pattern, key); });
  return known ? "" : "sets " + entry.key + " = " + entry.value;
}

}  // namespace bulkhead::trust
