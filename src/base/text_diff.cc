#include "base/text_diff.h"

#include <errno.h>

#include "base/filter.h"
#include "base/text.h"

namespace bulkhead {

Result<std::vector<std::string>> unified_diff(std::string_view before, std::string_view after,
                                              const DiffLimits& limits) {
  Filter filter;
  filter.places = {"/usr/bin/diff", "/bin/diff"};
  filter.arguments = {"diff", "--unified", "--text", "--label=a", "--label=b", "--", "-", "/proc/self/fd/3"};
  filter.environment = {"LC_ALL=C"};
  filter.inputs = {before, after};
  filter.most = limits.most;
  filter.patience = limits.patience;
  auto filtered = run_filter(filter);
  if (!filtered) {
    switch (filtered.error().code) {
      case ENOENT:
        return fail("diff is missing; install it: apt-get install diffutils");
      case ETIMEDOUT:
        return fail("comparing takes longer than " + std::to_string(limits.patience.count()) + " s");
      case EFBIG:
        return fail("the difference is longer than " + std::to_string(limits.most >> 20) + " MB");
      default:
        return tl::unexpected(std::move(filtered).error());
    }
  }
  if (filtered->status > 1) return fail("diff failed with status " + std::to_string(filtered->status));
  std::vector<std::string> lines = split(filtered->out, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.size() >= 2) lines.erase(lines.begin(), lines.begin() + 2);  // its own names for the two
  return lines;
}

}  // namespace bulkhead
