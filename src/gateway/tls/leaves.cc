#include "gateway/tls/leaves.h"

namespace bulkhead::tls {
namespace {

// A leaf near its end is minted again, so that a client that just got it can still use it for a while.
bool fresh(std::time_t minted, std::time_t now) {
  return now < minted + leaf_lifetime / 2;
}

}  // namespace

Leaves::Leaves(const SessionCa& ca, const std::vector<std::string>& granted, LeafLimits limits)
    : ca_(ca), limits_(limits), rate_(limits.minted_per_second, limits.minted_burst) {
  grant(granted);
}

void Leaves::grant(const std::vector<std::string>& hosts) {
  for (const std::string& host : hosts) pinned_.try_emplace(host);
}

bool Leaves::mint(const LeafName& name, std::time_t now, Leaf& into) {
  auto certificate = ca_.mint(name, now);
  if (!certificate) return false;
  into = {std::move(*certificate), now};
  ++minted_;
  return true;
}

X509* Leaves::pinned(const LeafName& name, const std::string& key, std::time_t now) {
  const auto found = pinned_.find(key);
  if (found == pinned_.end()) return nullptr;
  Leaf& leaf = found->second;
  const bool usable = leaf.certificate && fresh(leaf.minted, now);
  if (!usable && !mint({key, name.address}, now, leaf)) return nullptr;
  return leaf.certificate.get();
}

X509* Leaves::find(const LeafName& name, std::time_t now, TokenBucket::Clock::time_point tick) {
  if (X509* leaf = pinned(name, name.name, now)) return leaf;
  if (const auto dot = name.name.find('.'); !name.address && dot != std::string::npos) {
    if (X509* leaf = pinned(name, "*" + name.name.substr(dot), now)) return leaf;
  }
  if (const auto found = cache_.find(name.name); found != cache_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    Leaf& leaf = found->second->leaf;
    if (fresh(leaf.minted, now)) return leaf.certificate.get();
    return rate_.take(tick) && mint(name, now, leaf) ? leaf.certificate.get() : nullptr;
  }
  Leaf leaf;
  if (!rate_.take(tick) || !mint(name, now, leaf)) return nullptr;
  if (order_.size() >= limits_.cached) {
    cache_.erase(order_.back().name);
    order_.pop_back();
  }
  order_.push_front({name.name, std::move(leaf)});
  cache_.emplace(name.name, order_.begin());
  return order_.front().leaf.certificate.get();
}

}  // namespace bulkhead::tls
