// Values taken out of a document in JSON: what stands at one of the places becomes "[redacted]", whatever it is, or, of
// places where something is issued, another text. Everything else keeps its value: numbers stay the digits they were.
// Blanks between the parts are not kept.
//
// Accepts the documents judge_json() accepts (json_body.h) and nothing else: what readers understand differently could
// hide a value from one of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/grant/json_body.h"

namespace bulkhead::grant {

// What stands in the place of a value that is issued, or the refusal of the whole document.
using IssueValue = std::function<tl::expected<std::string, JsonRefusal>(std::string_view value)>;

// Places as JsonPath reads them. What is at a place of `issue` has to be a string; `issued` is asked for each, in the
// document's order. A place of both is redacted.
tl::expected<std::string, JsonRefusal> redact_json(const std::vector<std::string>& redact, std::string_view body,
                                                   const std::vector<std::string>& issue = {},
                                                   const IssueValue& issued = {});

}  // namespace bulkhead::grant
