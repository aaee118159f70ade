// A body in JSON that is accepted is the same document to a parser that is not ours: Jansson, from Debian.
#include <jansson.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "fuzz/peers/expect.h"
#include "gateway/grant/json_body.h"

namespace {
using nlohmann::json;

void same(const json& ours, json_t* theirs) {
  if (ours.is_object()) {
    expect(json_is_object(theirs) && json_object_size(theirs) == ours.size());
    const char* key = nullptr;
    json_t* value = nullptr;
    json_object_foreach(theirs, key, value) {
      const auto found = ours.find(key);
      expect(found != ours.end());
      same(*found, value);
    }
  } else if (ours.is_array()) {
    expect(json_is_array(theirs) && json_array_size(theirs) == ours.size());
    for (std::size_t i = 0; i < ours.size(); ++i) same(ours[i], json_array_get(theirs, i));
  } else if (ours.is_string()) {
    expect(json_is_string(theirs));
    expect(ours.get_ref<const std::string&>() ==
           std::string_view(json_string_value(theirs), json_string_length(theirs)));
  } else if (ours.is_boolean()) {
    expect(json_is_boolean(theirs) && json_is_true(theirs) == ours.get<bool>());
  } else if (ours.is_null()) {
    expect(json_is_null(theirs));
  } else {
    expect(json_is_number(theirs) && json_number_value(theirs) == ours.get<double>());
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (!bulkhead::grant::judge_json(bulkhead::JsonRules{}, body)) return 0;
  json_error_t error;
  const std::unique_ptr<json_t, void (*)(json_t*)> theirs(
      json_loadb(body.data(), body.size(), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error),
      json_decref);
  if (theirs) {
    same(json::parse(body), theirs.get());
  } else {  // numbers that don't fit what it keeps them in
    const auto code = json_error_code(&error);
    expect(code == json_error_numeric_overflow);
  }
  return 0;
}
