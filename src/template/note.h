// template.json and shape.json: what is known of a template. Read as a stranger's would be, because a disk can damage
// them like anything else.
#pragma once

#include <map>
#include <string>

#include "template/template.h"

namespace bulkhead::templates {

struct File {
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct Note {
  Info info;
  std::map<std::string, File> files;  // of image/
};

std::string note_text(const Note& note);
// An error says what is wrong with it, not where it is.
Result<Note> note_from(const std::string& text);

std::string shape_text(const Shape& shape);
Result<Shape> shape_from(const std::string& text);

}  // namespace bulkhead::templates
