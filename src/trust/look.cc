#include "trust/look.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "policy/json.h"

namespace bulkhead::trust {
namespace {

using nlohmann::json;

constexpr std::size_t max_lines = 64, max_line = 1024;

// By their numbers; not those of git.
constexpr Format formats[] = {Format::text, Format::json, Format::toml};

}  // namespace

json look_request(const Rule& rule) {
  json shows = json::array();
  for (const Show& one : rule.shows) shows.push_back({one.at, one.as, one.needs, one.needs_value});
  return {{"format", static_cast<int>(rule.format)},
          {"class", static_cast<int>(rule.kind)},
          {"shows", std::move(shows)},
          {"contains", rule.contains},
          {"harmless", rule.harmless},
          {"secret", rule.secret},
          {"verb", rule.verb}};
}

Result<Rule> rule_from(const json& request) {
  Rule out;
  try {
    const auto format = request.at("format").get<std::size_t>();
    if (format >= std::size(formats)) return fail("no format that is read here");
    out.format = formats[format];
    out.kind = static_cast<Class>(request.at("class").get<int>());
    for (const json& one : request.at("shows")) {
      const auto word = [&](std::size_t at) { return one.at(at).get<std::string>(); };
      out.shows.push_back({word(0), word(1), word(2), word(3)});
    }
    out.contains = request.at("contains").get<std::vector<std::string>>();
    out.harmless = request.at("harmless").get<std::vector<std::string>>();
    out.secret = request.at("secret").get<bool>();
    out.verb = request.at("verb").get<std::string>();
  } catch (const json::exception&) {
    return fail("told something that makes no sense");
  }
  return out;
}

std::string look_answer(const Judgement& judgement) {
  std::string out = judgement.counts ? "1" : "0";
  for (const std::string& line : judgement.does) {
    for (const char c : line) {
      if (c == '\0') {
        out += "\u2400";
      } else {
        out += c;
      }
    }
    out += '\0';
  }
  return out;
}

Result<Judgement> judgement_from(std::string_view answer) {
  if (answer.empty() || (answer[0] != '0' && answer[0] != '1')) return fail("an answer that makes no sense");
  Judgement out;
  out.counts = answer[0] == '1';
  answer.remove_prefix(1);
  while (!answer.empty()) {
    const std::size_t end = answer.find('\0');
    if (end > max_line || out.does.size() == max_lines) return fail("an answer that makes no sense");
    out.does.emplace_back(answer.substr(0, end));
    answer.remove_prefix(end + 1);
  }
  if (out.counts && out.does.empty()) return fail("an answer that makes no sense");
  return out;
}

}  // namespace bulkhead::trust
