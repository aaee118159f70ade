// What happened as an event (docs/formats.md).
#pragma once

#include "evidence/event_text.h"
#include "trace/decode.h"
#include "trace/lineage.h"
#include "trace/pace.h"

namespace bulkhead::trace {

// `process`: the one it is about (of Began, the new one). `seen_by`: who told (Teller::name).
evidence::Event event_of(const Began& what, const Process& process, std::string_view seen_by);
evidence::Event event_of(const Executed& what, const Process& process, std::string_view seen_by);
evidence::Event event_of(const Runs& what, const Process& process,
                         std::string_view seen_by);  // where nothing more is known
evidence::Event event_of(const Ended& what, const Process& process, std::string_view seen_by);
evidence::Event event_of(const Opened& what, const Process& process, std::string_view seen_by);
evidence::Event event_of(const Connected& what, const Process& process, std::string_view seen_by);
// `unheard`: it was ended before it had said all, so nobody knows what else is missing.
evidence::Event event_of(const Pace::Omitted& omitted, bool unheard, std::string_view seen_by);

}  // namespace bulkhead::trace
