#include "review/journal.h"

#include <array>
#include <nlohmann/json.hpp>

namespace bulkhead::review {
namespace {

constexpr const char* file = "journal.json";
constexpr std::array states = {"preparing", "committing", "undoing", "done"};
constexpr std::array kinds = {"remove", "replace", "add", "set"};

template <class Names>
std::optional<std::size_t> place_of(const Names& names, const std::string& word) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (word == names[i]) return i;
  }
  return std::nullopt;
}

nlohmann::json to_json(const Step& step) {
  const Mark& b = step.before;
  return {{"do", kinds[static_cast<std::size_t>(step.what)]},
          {"path", encode_path(step.path)},
          {"before", {b.inode, b.size, b.mtime, b.ctime, b.mode}},
          {"fresh", step.fresh},
          {"mode", step.mode},
          {"mtime", step.mtime},
          {"folder", step.folder}};
}

Result<Step> step_from(const nlohmann::json& object) {
  Step step;
  const auto what = place_of(kinds, object.at("do").get<std::string>());
  if (!what) return fail("an unknown step");
  step.what = static_cast<Step::What>(*what);
  BH_TRY(step.path, decode_path(object.at("path").get<std::string>()));
  const nlohmann::json& b = object.at("before");
  step.before = {b.at(0).get<std::uint64_t>(), b.at(1).get<std::uint64_t>(), b.at(2).get<std::int64_t>(),
                 b.at(3).get<std::int64_t>(), b.at(4).get<std::uint32_t>()};
  step.fresh = object.at("fresh").get<std::uint64_t>();
  step.mode = object.at("mode").get<std::uint32_t>();
  step.mtime = object.at("mtime").get<std::int64_t>();
  step.folder = object.at("folder").get<bool>();
  return step;
}

Result<Journal> journal_from(const nlohmann::json& object) {
  Journal journal;
  const auto state = place_of(states, object.at("state").get<std::string>());
  if (!state) return fail("an unknown state");
  journal.state = static_cast<Journal::State>(*state);
  BH_TRY(journal.staging, decode_path(object.at("staging").get<std::string>()));
  for (const nlohmann::json& step : object.at("steps")) {
    BH_TRY(Step one, step_from(step));
    journal.steps.push_back(std::move(one));
  }
  for (const nlohmann::json& path : object.at("settled")) {
    BH_TRY(std::string one, decode_path(path.get<std::string>()));
    journal.settled.push_back(std::move(one));
  }
  journal.whole = object.at("whole").get<bool>();
  return journal;
}

}  // namespace

const char* name_of(Journal::State state) {
  return states[static_cast<std::size_t>(state)];
}

Result<void> write_journal(const Review& review, const Journal& journal) {
  nlohmann::json steps = nlohmann::json::array(), settled = nlohmann::json::array();
  for (const Step& step : journal.steps) steps.push_back(to_json(step));
  for (const std::string& path : journal.settled) settled.push_back(encode_path(path));
  const nlohmann::json object{{"v", 1},
                              {"state", name_of(journal.state)},
                              {"staging", encode_path(journal.staging)},
                              {"steps", std::move(steps)},
                              {"settled", std::move(settled)},
                              {"whole", journal.whole}};
  return review.write(file, object.dump() + "\n");
}

Result<std::optional<Journal>> read_journal(const Review& review) {
  BH_TRY(const std::optional<std::string> text, review.read(file));
  if (!text) return std::nullopt;
  const nlohmann::json object = nlohmann::json::parse(*text, nullptr, false);
  try {
    auto journal = journal_from(object);
    if (journal) return std::move(*journal);
  } catch (const nlohmann::json::exception&) {
  }
  return fail("review " + review.info().id + " is damaged: its journal.json makes no sense");
}

}  // namespace bulkhead::review
