#include "policy/git_ref.h"

#include <algorithm>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

bool is_ref_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f && std::string_view("~^:?*[\\").find(c) == std::string_view::npos;
}

}  // namespace

Result<void> check_ref(std::string_view name) {
  const auto bad = [&](const char* why) { return fail(in_quotes(name) + ": " + why); };
  if (!name.starts_with("refs/")) return bad("a ref's full name begins with `refs/`, like \"refs/heads/main\"");
  if (name.size() > 1024) return bad("a ref's name has at most 1024 bytes");
  if (!valid_utf8(name)) return bad("a ref's name is UTF-8");
  if (!std::all_of(name.begin(), name.end(), is_ref_char)) return bad("a character no ref's name has");
  if (name.find("..") != std::string_view::npos || name.find("@{") != std::string_view::npos) {
    return bad("`..` and `@{` are no part of a ref's name");
  }
  if (name.ends_with('.')) return bad("a ref's name does not end with a dot");
  const std::vector<std::string> parts = split(name, '/');
  for (const std::string& part : parts) {
    if (part.empty()) return bad("an empty part in a ref's name");
    if (part.starts_with('.') || part.ends_with(".lock"))
      return bad("a part that begins with `.` or ends with `.lock`");
  }
  if (parts.size() < 3) return bad("a ref's full name says what it is, like \"refs/heads/main\"");
  return {};
}

Result<void> check_ref_pattern(std::string_view pattern) {
  if (!pattern.ends_with('*')) return check_ref(pattern);
  // What may stand for the star is judged with the name; any one letter tells whether the rest is in order.
  std::string example(pattern.substr(0, pattern.size() - 1));
  if (auto ok = check_ref(example + "x"); !ok) {
    return fail(in_quotes(pattern) + ": a ref's full name, a final `*` for any rest, like \"refs/heads/agent/*\"");
  }
  return {};
}

bool ref_matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  pattern.remove_suffix(1);
  return name.size() > pattern.size() && name.starts_with(pattern);
}

}  // namespace bulkhead
