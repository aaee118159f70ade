#include "gateway/front/withdrawn.h"

#include "base/text.h"

namespace bulkhead::front {

std::optional<grant::Decision> withdrawn(const Shared& shared, const grant::RequestHead& head) {
  if (shared.withdrawn.empty()) return std::nullopt;
  std::vector<Grant> grants;
  grants.reserve(shared.withdrawn.size());
  for (const WithdrawnGrant& one : shared.withdrawn) grants.push_back(one.grant);
  const grant::Decision before = grant::judge(grants, shared.tokens, head);
  if (before.verdict != grant::Verdict::allow) return std::nullopt;
  const auto at = static_cast<std::size_t>(before.grant - grants.data());
  const WithdrawnGrant& gone = shared.withdrawn[at];
  grant::Decision decision;  // nothing to add: no line of policy is the answer
  decision.reason = name_of(gone.gone);
  decision.text = escape_for_terminal(head.method, 20) + " " + head.scheme + "://" +
                  escape_for_terminal(head.host, 260) + ": " + text_of(gone.gone);
  decision.grant = &gone.grant;
  return decision;
}

}  // namespace bulkhead::front
