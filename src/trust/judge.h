// What a control file would do, said in lines that a person can judge, and whether it does anything at all: a name
// alone would make every project with a .git/config ask. Parsing is nlohmann's, toml++'s and git's; where they can't,
// the file counts as its class.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "trust/catalogue.h"
#include "trust/content.h"

namespace bulkhead::trust {

struct Judgement {
  bool counts = true;
  std::vector<std::string> does;  // bounded in number and length; hostile text
};

Judgement judge(const Rule& rule, const Content& content);

// The strongest of `rules` by which this content counts; false when none.
bool strongest(const Catalogue& catalogue, const std::vector<std::size_t>& rules, const Content& content,
               std::size_t& rule, std::vector<std::string>& does);

}  // namespace bulkhead::trust
