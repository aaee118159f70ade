// The events a log can hold: one table, from which docs/formats.md is checked and `audit` will explain.
// The writer takes any well-formed type, so that a newer component never loses evidence to an older table.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bulkhead::evidence {

struct EventType {
  std::string_view type;
  std::string_view source;   // who may be expected to say it
  std::string_view fields;   // its own fields, in words
  std::string_view meaning;  // one line
};

std::span<const EventType> event_types();

// `a.b_c`: lower-case letters, digits, `_` and dots, starting with a letter, at most 64 bytes.
bool valid_type(std::string_view type);

// The table as Markdown, as docs/formats.md holds it.
std::string event_table_markdown();

}  // namespace bulkhead::evidence
