// One name for all spellings that some file system takes for the same: case (ext4 casefold, APFS, NTFS), composed and
// decomposed Unicode, code points that HFS+ and ext4 ignore, what Windows drops at the end (dots, blanks, `:stream`).
// A project that is harmless here may be copied, or mounted, there (CVE-2014-9390, CVE-2025-59944).
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::trust {

// Folding is Unicode's full case folding on the canonical decomposition, without default-ignorable code points (as ext4
// has it); names in invalid UTF-8 fold their ASCII letters only. Never empty unless `name` is.
std::string folded(std::string_view name);

// May `name` be the 8.3 alias that Windows or vfat makes for `plain` (`GIT~1` for `.git`)? Both are folded.
bool is_short_name_of(std::string_view name, std::string_view plain);

}  // namespace bulkhead::trust
