// May this request go up? Front has judged it; egress trusts that no further than its own copy of
// the grants.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "gateway/gateway.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

class Permits {
 public:
  Permits(std::vector<Grant> grants, std::string credential, TokenSlot slot);
  ~Permits();
  Permits(const Permits&) = delete;
  Permits& operator=(const Permits&) = delete;

  struct Permit {
    const Grant* grant = nullptr;
    const Rule* rule = nullptr;
    bool use_credential = false;
    std::string id;
  };

  // Counts the request against the grant's budget, and leaves in its headers only what may go upstream. Failures are
  // what to answer: 400, 403, 405, 413, 429; the request's strings are then still whole.
  tl::expected<Permit, lane::Failure> judge(lane::Request& request);

  // Body bytes that moved. False: that is more than the budget has left; stop.
  bool count_up(const Permit& permit, std::size_t bytes);
  bool count_down(const Permit& permit, std::size_t bytes);

 private:
  struct Entry;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::string credential_;
  std::vector<TokenSlot> slots_;
};

}  // namespace bulkhead::egress
