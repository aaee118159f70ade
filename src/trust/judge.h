// What a control file would do, said in lines that a person can judge, and whether it does anything at all: a name
// alone would make every project with a .git/config ask. Parsing is nlohmann's, toml++'s and git's; where they can't,
// the file counts as its class. Who has privileges asks a Reader (reader.h), which has the parsing done elsewhere.
#pragma once

#include <cstddef>
#include <optional>
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

// What is known without reading what is in it; nullopt: that has to be read.
std::optional<Judgement> judged_unread(const Rule& rule, const Content& content);
// What these bytes would do. A git config is given to git, which is another process.
Judgement judge_bytes(const Rule& rule, std::string_view bytes);
// What is said of a link before what it leads to.
void say_link(const Content& content, Judgement& judgement);

// All three, and the parsing in this process: for bulkhead-look's own tests and fuzzing.
Judgement judge(const Rule& rule, const Content& content);

}  // namespace bulkhead::trust
