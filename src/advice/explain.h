// What a policy opens, in words: per granted host the functions that can be reached, the credential and where it is put
// in, the budget, where each rule came from, and what remains possible all the same.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace bulkhead::advice {

struct Function {
  std::string call;  // "POST /v1/messages"
  std::string does;  // "send JSON up to 32 MB; query keys: beta"
  Origin origin;     // of the rule; for a preset's, in the preset's file
};

// A way out that the grant leaves, of a kind that no rule can close. `code` is stable.
struct Remaining {
  std::string code, text;
};

struct ExplainedGrant {
  std::string id;                  // as evidence names it
  std::vector<std::string> where;  // "https://api.example.com" for each host
  std::string credential;          // the name, or empty
  std::string slot;                // a sentence about it, or empty
  std::vector<Function> functions;
  std::string budget;
  std::string answers;  // what is let in of them, or empty
  std::vector<Remaining> remains;
  std::string preset;
  Origin origin;
};

struct Explanation {
  std::vector<ExplainedGrant> grants;
  std::vector<Remaining> around;  // what is so for the session as a whole: the way out, and ways in
  std::string profile;
  std::vector<std::string> sources;
  bool ask = false;  // the person at the terminal, about what only lacks a grant
};

// All texts of it are safe to print.
Explanation explain(const Policy& policy);

// For people: no line longer than `width` columns but for a single word that is. `bold` and `plain` stand around what
// is a heading; empty for no colour.
std::string explanation_text(const Explanation& explanation, std::size_t width, std::string_view bold = {},
                             std::string_view plain = {});
nlohmann::json to_json(const Explanation& explanation);

// `text` as paragraphs of at most `width` columns, the first line behind `first`, the others behind blanks.
std::string wrapped(std::string_view text, std::size_t width, std::string_view first, std::size_t indent);

}  // namespace bulkhead::advice
