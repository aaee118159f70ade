#include "template/note.h"

#include <nlohmann/json.hpp>

namespace bulkhead::templates {
namespace {

using nlohmann::json;

constexpr const char* damaged = "its template.json is damaged";

std::string text_of(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

const json& member(const json& object, const char* key) {
  static const json none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

Result<std::string> string_in(const json& value) {
  if (!value.is_string()) return fail(damaged);
  return value.get<std::string>();
}

Result<std::uint64_t> number_in(const json& value) {
  if (!value.is_number_unsigned()) return fail(damaged);
  return value.get<std::uint64_t>();
}

Result<std::vector<std::string>> words_in(const json& value) {
  if (!value.is_array()) return fail(damaged);
  std::vector<std::string> out;
  for (const json& word : value) {
    BH_TRY(std::string one, string_in(word));
    out.push_back(std::move(one));
  }
  return out;
}

Result<Shape> shape_in(const json& value) {
  if (!value.is_object()) return fail(damaged);
  Shape out;
  for (const auto& [key, text] : value.items()) {
    BH_TRY(out[key], string_in(text));
  }
  return out;
}

}  // namespace

std::string note_text(const Note& note) {
  json files = json::object();
  for (const auto& [name, file] : note.files) files[name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  return text_of({{"version", 1},
                  {"name", note.info.name},
                  {"made", note.info.made},
                  {"command", note.info.command},
                  {"again", note.info.again},
                  {"shape", note.info.shape},
                  {"files", files}});
}

Result<Note> note_from(const std::string& text) {
  const json all = json::parse(text, nullptr, false);
  if (!all.is_object() || member(all, "version") != 1 || !member(all, "files").is_object()) return fail(damaged);
  Note note;
  BH_TRY(note.info.name, string_in(member(all, "name")));
  BH_TRY(note.info.made, string_in(member(all, "made")));
  BH_TRY(note.info.command, words_in(member(all, "command")));
  BH_TRY(note.info.again, words_in(member(all, "again")));
  BH_TRY(note.info.shape, shape_in(member(all, "shape")));
  for (const auto& [name, about] : member(all, "files").items()) {
    if (!about.is_object()) return fail(damaged);
    File& file = note.files[name];
    BH_TRY(file.bytes, number_in(member(about, "bytes")));
    BH_TRY(file.sha256, string_in(member(about, "sha256")));
    note.info.bytes += file.bytes;
  }
  return note;
}

std::string shape_text(const Shape& shape) {
  return text_of(shape);
}

Result<Shape> shape_from(const std::string& text) {
  return shape_in(json::parse(text, nullptr, false));
}

}  // namespace bulkhead::templates
