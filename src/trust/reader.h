// Says what control files would do without parsing them here: whoever asks has the user's files and keys within reach,
// and what is parsed is a stranger's. The bytes go to bulkhead-look (look_main.cc), a process that has nothing and can
// do nothing but answer. It is started for the first file that has to be read, so a project without any costs nothing;
// a git config is git's to parse (base/filter.h).
//
// A file that is not answered for, for whatever reason, counts as it is. A process that a file has taken over can lie
// about what files do; what is hashed, pinned and compared is read here and never comes from there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/process.h"
#include "base/result.h"
#include "trust/catalogue.h"
#include "trust/content.h"
#include "trust/judge.h"

namespace bulkhead::trust {

class Reader {
 public:
  Judgement judge(const Rule& rule, const Content& content);

  // The strongest of `rules` by which this content counts; false when none.
  bool strongest(const Catalogue& catalogue, const std::vector<std::size_t>& rules, const Content& content,
                 std::size_t& rule, std::vector<std::string>& does);

 private:
  Result<Judgement> ask(const Rule& rule, std::string_view bytes);
  Result<void> start();

  Child child_;
  UniqueFd socket_;
  std::size_t lost_ = 0;  // processes that did not answer
};

}  // namespace bulkhead::trust
