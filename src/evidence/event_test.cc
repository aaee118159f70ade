#include "evidence/event.h"

#include <gtest/gtest.h>

#include <set>

#include "base/sys.h"

namespace bulkhead::evidence {
namespace {

TEST(Event, TypesAreUniqueAndWellFormed) {
  std::set<std::string_view> seen;
  for (const EventType& event : event_types()) {
    EXPECT_TRUE(valid_type(event.type)) << event.type;
    EXPECT_TRUE(seen.insert(event.type).second) << event.type;
  }
}

TEST(Event, RefusesTypesThatCouldConfuseAReader) {
  for (const char* bad : {"", "Session.start", "a b", "a\n", ".start", "1a", "a-b", "session\"start"}) {
    EXPECT_FALSE(valid_type(bad)) << bad;
  }
  EXPECT_FALSE(valid_type(std::string(65, 'a')));
  EXPECT_TRUE(valid_type("http.request_2"));
}

TEST(Event, FormatsDocumentHoldsThisTable) {
  const auto text = sys::read_file(BULKHEAD_SOURCE_DIR "/docs/formats.md", 1 << 20);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_NE(text->find(event_table_markdown()), std::string::npos) << "docs/formats.md must hold, word for word:\n"
                                                                   << event_table_markdown();
}

}  // namespace
}  // namespace bulkhead::evidence
