// An event on its way into the log: what the writer makes of it is one line of valid UTF-8, says what the JSON
// library's tree of it says, and comes out the same when it is read again. What it refuses as no JSON is none to the
// library.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/text.h"
#include "evidence/event.h"
#include "evidence/event_reader.h"
#include "evidence/limits.h"
#include "expect.h"

namespace {

using namespace bulkhead;
using Tree = nlohmann::ordered_json;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static evidence::EventReader reader;  // as the writer's: one for all events
  bool sync = false;
  const auto event = reader.read(text, sync);
  Tree tree = Tree::parse(text, nullptr, false);
  if (!event) {
    expect(event.error().message != "not a JSON object" || !tree.is_object());
    return 0;
  }
  expect(evidence::valid_type(event->type) && tree.is_object() && tree["type"] == event->type);
  expect(sync == tree.value("sync", false));
  const std::string line = "{" + event->fields + "}";
  expect(valid_utf8(line) && std::ranges::none_of(line, [](char c) { return c >= 0 && c < 0x20; }));
  tree.erase("type");
  tree.erase("sync");
  for (const std::string_view key : evidence::reserved_keys) expect(!tree.contains(std::string(key)));
  expect(Tree::parse(line) == tree);

  const std::string again = "{\"type\":\"" + event->type + (event->fields.empty() ? "\"" : "\",") + event->fields + "}";
  const auto second = reader.read(again, sync);
  expect(second && second->type == event->type && second->fields == event->fields && !sync);
  return 0;
}
