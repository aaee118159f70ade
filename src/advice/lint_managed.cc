#include "advice/lint_managed.h"

#include <errno.h>

#include <algorithm>

#include "base/sys.h"
#include "policy/digest.h"
#include "policy/names.h"
#include "policy/toml.h"

namespace bulkhead::advice {
namespace {

class Linter {
 public:
  explicit Linter(const ManagedFile& file) : file_(file) {}

  void add(const char* code, Severity severity, int line, const std::string& text, const std::string& fix) {
    out_.push_back({code, severity, {"managed", file_.file, line}, text, fix});
  }

  void pins(const std::string& data_dir) {
    if (!file_.presets) return;
    for (const ManagedFile::Preset& one : file_.presets->value) {
      const std::string path = data_dir + "/presets/" + one.name + ".toml";
      const auto text = sys::read_file(path, max_toml_bytes);
      if (!text) continue;  // may be a user's own
      if (const std::string digest = sha256_hex(*text); digest != one.sha256) {
        add("stale-pin", Severity::warning, one.line,
            "the preset " + in_quotes(one.name) + " that is installed has another content",
            "look at it, then pin \"" + digest + "\"");
      }
    }
  }

  void paths(const Rules<std::vector<std::string>>& rule, bool allows) {
    if (!rule) return;
    for (const std::string& path : rule->value) {
      if (!path.starts_with('/')) continue;
      const auto real = sys::real_path(path);
      if (!real && real.error().code == ENOENT) {
        add("absent-path", Severity::note, rule->line, in_quotes(path) + " is not there", "is it spelled right?");
      } else if (real && *real != path && allows) {
        add("linked-path", Severity::warning, rule->line,
            in_quotes(path) + " is reached by a link, and mounts are judged by where they lead",
            "write " + in_quotes(*real));
      }
    }
  }

  void review() {
    if (!file_.mount_review || !file_.forbid_modes) return;
    if (std::ranges::find(file_.forbid_modes->value, MountMode::review) == file_.forbid_modes->value.end()) return;
    add("unused-review", Severity::warning, file_.mount_review->line,
        "what is to be reviewed can only be mounted ro, because review is forbidden", "allow the mode, or say ro");
  }

  std::vector<Finding> take() { return std::move(out_); }

 private:
  const ManagedFile& file_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> lint(const ManagedFile& file, const std::string& data_dir) {
  Linter linter(file);
  linter.pins(data_dir);
  linter.paths(file.mount_allow, true);
  linter.paths(file.mount_deny, false);
  linter.paths(file.mount_review, false);
  linter.review();
  std::vector<Finding> found = linter.take();
  std::sort(found.begin(), found.end(),
            [](const Finding& a, const Finding& b) { return a.origin.line < b.origin.line; });
  return found;
}

}  // namespace bulkhead::advice
