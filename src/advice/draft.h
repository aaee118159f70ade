// The text of a proposal (propose.h), as it grows: comments that hold nothing that could end them, and values in
// quotes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "advice/propose.h"

namespace bulkhead::advice {

class Draft {
 public:
  explicit Draft(const Known& known) : known_(known) {}

  void note(const std::string& text);  // a comment; any text
  void gap() { out_ += "\n"; }
  // `version`, and the profile where it still is.
  void begin(const std::string& session_profile);
  void place(const Learner::Where& where, const Learner::Place& place);
  // The grant alone, for a place that was asked for one thing. False: it can't be written.
  bool single(const Learner::Where& where, const Learner::Place& place);
  void tunnel(const Learner::Where& where, const Learner::Place& place);  // an opaque connection
  // With the credentials that were named meanwhile in front of the grants.
  std::string text() const;

 private:
  struct Rule {
    std::vector<std::string> methods;
    std::string path, content_type;
    Learner::Asked asked;
  };
  static std::size_t weight(const Rule& rule);
  static std::vector<Rule> rules_of(const Learner::Place& place);
  bool covered_by_profile(const Learner::Where& where, const Learner::Place& place) const;
  // The preset to use in place of `rules`; one that is only worth a word is put there.
  std::string choose_preset(const Learner::Where& where, const Learner::Place& place, std::size_t rules);
  std::string credential(const Learner::Where& where);
  void write_head(const Learner::Where& where, const std::string& credential);
  void write_rule(const Rule& rule, const std::string& scheme, bool with_count = true);
  void write_budget(const Learner::Place& place, const std::vector<Rule>& rules);

  const Known& known_;
  std::string out_, head_;
  std::string credentials_;
  std::set<std::string> defined_;
  std::set<std::pair<std::string, std::string>> presets_;  // used: name, credential
  std::size_t grant_bytes_ = 0;                            // what the grants come to, about
};

}  // namespace bulkhead::advice
