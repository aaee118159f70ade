// Which certificate a name gets. Random names must not grow memory or burn CPU (attack T14): names that are granted
// are kept for good and a wildcard grant is one leaf; all others share a small cache and a rate.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/tls/ca.h"
#include "gateway/tls/token_bucket.h"

namespace bulkhead::tls {

struct LeafLimits {
  std::size_t cached = 256;       // leaves of ungranted names (about 2 KB each)
  double minted_per_second = 20;  // for ungranted names
  double minted_burst = 64;
};

class Leaves {
 public:
  // `granted`: the grants' hosts, canonical, `*.example.com` included. `ca` outlives this.
  Leaves(const SessionCa& ca, const std::vector<std::string>& granted, LeafLimits limits);

  // These are granted, too, from now on. (What was granted once stays pinned: it is minted already.)
  void grant(const std::vector<std::string>& hosts);

  // The leaf for `name`, or null: rate exceeded or not mintable. Stays valid until the next call; SSL objects
  // that use it hold a reference of their own.
  X509* find(const LeafName& name, std::time_t now, TokenBucket::Clock::time_point tick);

  std::size_t cached() const { return order_.size(); }
  std::uint64_t minted() const { return minted_; }

 private:
  struct Leaf {
    CertificatePtr certificate;
    std::time_t minted = 0;
  };
  struct Cached {
    std::string name;
    Leaf leaf;
  };

  X509* pinned(const LeafName& name, const std::string& key, std::time_t now);
  bool mint(const LeafName& name, std::time_t now, Leaf& into);

  const SessionCa& ca_;
  LeafLimits limits_;
  TokenBucket rate_;
  std::unordered_map<std::string, Leaf> pinned_;  // empty certificate: granted, not asked for yet
  std::list<Cached> order_;                       // most recently used first
  std::unordered_map<std::string, std::list<Cached>::iterator> cache_;
  std::uint64_t minted_ = 0;
};

}  // namespace bulkhead::tls
