// What the tests of this folder share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/sys.h"
#include "policy/load.h"

namespace bulkhead::testing_help {

inline const std::string source_dir = BULKHEAD_SOURCE_DIR;

// Loads `body` behind the version line, so that the body starts on line 2.
inline Result<Document> load(std::string_view body, DocumentKind kind = DocumentKind::policy) {
  return load_document("version = 1\n" + std::string(body), "p.toml", "user", kind);
}

// The error, or "" when there was none.
inline std::string error_of(std::string_view body, DocumentKind kind = DocumentKind::policy) {
  auto document = load(body, kind);
  return document ? "" : document.error().message;
}

inline Document must_load(std::string_view body) {
  auto document = load(body);
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  return document ? *document : Document{};
}

inline std::string text_of(const std::string& path) {
  auto text = sys::read_file(source_dir + "/" + path, 1 << 20);
  EXPECT_TRUE(text) << path;
  return text.value_or("");
}

}  // namespace bulkhead::testing_help
