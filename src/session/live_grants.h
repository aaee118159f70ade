// Which grants hold while the session runs: what it began with, less what was revoked, as the policy was last loaded.
// Pure data; the supervisor sends what comes out of it to front and the egress processes (gateway/update.h).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/update.h"

namespace bulkhead::session {

class LiveGrants {
 public:
  LiveGrants() = default;
  // `credentials`: those the session holds; "" is none.
  LiveGrants(std::vector<Grant> grants, const std::vector<std::string>& credentials);

  struct Revoked {
    std::vector<Grant> now, before;        // by this call, and already gone
    std::vector<std::string> credentials;  // whose secrets are forgotten
  };
  // By id, by credential, or everything when both are empty. All of what is named exists, or nothing is done: the
  // error lists what there is. Revoking again is no error.
  Result<Revoked> revoke(const std::vector<std::string>& ids, const std::vector<std::string>& credentials);

  struct Reloaded {
    std::vector<Grant> narrowed, removed;  // what they are now; what they were
    std::vector<Grant> widened;            // what they are to be: wanted, or waiting to be
    std::vector<Grant> revoked;            // in the policy again, and all the same gone for good
    bool waiting = false;                  // `widened` has not been done
  };
  // The policy's grants, loaded again. What is within what held before holds at once; the rest only when it is
  // `wanted`. A grant keeps its id, and so what was counted of it. An error, and nothing is done, where this session
  // can't have one: no listener for its port (`ports`), its credential not held, no egress without one. Ends close().
  Result<Reloaded> reload(const std::vector<Grant>& grants, const std::set<std::uint16_t>& ports, bool wanted);
  // Grants beside the policy's, because the person at the terminal said so. An error, and nothing is done, where this
  // session can't have one, as for reload(), or where something was taken back: everything, or a grant for that place.
  // They get ids. Loading the policy again leaves them alone, unless they are `kept`: in it from now on. revoke() takes
  // back both.
  Result<void> can_add(const std::vector<Grant>& grants, const std::set<std::uint16_t>& ports) const;
  Result<std::vector<Grant>> add(std::vector<Grant> grants, const std::set<std::uint16_t>& ports, bool kept);
  // Ends those of them that were for one request. Nobody has to be told of them any more.
  void drop(const std::vector<std::string>& ids);
  // The policy could not be loaded: nothing holds until it can.
  void close() { closed_ = true; }

  // For front; for the egress of one credential ("" is one too).
  GrantsUpdate update(std::uint64_t number) const;
  GrantsUpdate update(std::uint64_t number, const std::string& credential) const;

  std::vector<Grant> held() const;

 private:
  struct Known {
    Grant grant;
    std::optional<Gone> gone;
    bool added = false;    // no policy's
    bool dropped = false;  // had its one request
  };
  std::string listed() const;
  Result<void> possible(const Grant& grant, const std::set<std::uint16_t>& ports) const;
  std::optional<Gone> gone(const Known& known) const;
  std::optional<std::size_t> counterpart(const Grant& grant, const std::vector<bool>& taken) const;

  std::vector<Known> known_;
  std::set<std::string> credentials_, forgotten_;
  bool open_way_ = false;  // there is an egress without a credential
  bool closed_ = false;    // the policy could not be loaded
  bool over_ = false;      // everything was revoked
};

}  // namespace bulkhead::session
