// A body in JSON against rules: what is allowed is one document, and really lacks what the rules deny; a refusal is one
// line that is safe to print. Judged a second time by other means: the parsed tree.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.h"
#include "expect.h"
#include "gateway/grant/json_body.h"
#include "policy/json_path.h"

namespace {
using nlohmann::json;

const bulkhead::JsonRules rules{.deny_keys = {"a", "**.b.c"},
                                .deny_values = {{"**.d", {"x*", "1"}}},
                                .allow_values = {{"t.*.y", {"z", "true"}}, {"w", {"false"}}},
                                .require = {{"m", {"n*"}}},
                                .allow_keys = {"o.p", "o.q", "t.*.y", "t.*.z", "t.*.d"}};

void walk(const json& value, bool in_t, int depth) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      const std::string folded = bulkhead::fold_json(key);
      expect(depth > 0 || folded != "a");
      if (folded == "b" && member.is_object()) {
        for (const auto& [inner, unused] : member.items()) expect(bulkhead::fold_json(inner) != "c");
      }
      if (folded == "d") {
        expect(!member.is_string() || !bulkhead::fold_json(member.get<std::string>()).starts_with("x"));
        expect(!member.is_number() || member.get<double>() != 1.0);
      }
      if (in_t && depth == 2) expect(key == "y" || key == "z" || key == "d");
      if (in_t && depth == 2 && folded == "y") expect(member == "z" || member == true);
      if (depth == 0 && folded == "o" && member.is_object()) {
        for (const auto& [inner, unused] : member.items()) expect(inner == "p" || inner == "q");
      }
      walk(member, depth == 0 ? folded == "t" : in_t, depth + 1);
    }
  } else if (value.is_array()) {
    for (const json& element : value) walk(element, in_t, depth + 1);
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  static const JsonRules none;
  static const grant::JsonJudge judge(rules), any(none);
  if (const auto judged = judge.judge(body); !judged) {
    const std::string& text = judged.error().text;
    expect(!text.empty() && text.size() < 600 && escape_for_terminal(text, text.size() + 1) == text);
    return 0;
  }
  expect(any.judge(body).has_value());  // (what it refuses by itself is json_peers')
  expect(body.find('\0') == std::string_view::npos);
  const json tree = json::parse(body);  // aborts the run where it throws
  // A value is compared as it is written: `n*` means null, too.
  expect(tree.is_object() && (tree.at("m").is_null() || tree.at("m").get<std::string>().starts_with("n")));
  expect(!tree.contains("w") || tree.at("w") == false);
  walk(tree, false, 0);
  return 0;
}
