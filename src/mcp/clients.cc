#include "mcp/clients.h"

#include <algorithm>

#include "base/random.h"
#include "mcp/call.h"

namespace bulkhead::mcp {

std::string Clients::begin() {
  const std::scoped_lock held(mutex_);
  if (heard_.size() >= most) {
    const auto busy = [&](const auto& client) {
      return std::ranges::any_of(calls_, [&](const Entry& call) { return call.client == client.first; });
    };
    auto oldest = heard_.end();
    for (auto client = heard_.begin(); client != heard_.end(); ++client) {
      if (!busy(*client) && (oldest == heard_.end() || client->second < oldest->second)) oldest = client;
    }
    heard_.erase(oldest);  // there are fewer calls than clients
  }
  std::string id = random_hex(16);
  heard_[id] = ++now_;
  return id;
}

bool Clients::heard(const std::string& id) {
  const std::scoped_lock held(mutex_);
  const auto client = heard_.find(id);
  if (client == heard_.end()) return false;
  client->second = ++now_;
  return true;
}

bool Clients::end(const std::string& id) {
  const std::scoped_lock held(mutex_);
  for (const Entry& call : calls_) {
    if (call.client == id) call.wanted->cancelled = true;
  }
  return heard_.erase(id) > 0;
}

Clients::Call::~Call() {
  const std::scoped_lock held(clients_.mutex_);
  clients_.calls_.erase(at_);
}

std::optional<Clients::Call> Clients::call(const std::string& client, const nlohmann::json& request, Wanted& wanted) {
  const std::scoped_lock held(mutex_);
  if (calls_.size() >= max_calls) return std::nullopt;
  if (closed_) wanted.cancelled = true;
  calls_.push_back({client, request, &wanted});
  return std::optional<Call>(std::in_place, *this, std::prev(calls_.end()));
}

void Clients::cancel(const std::string& client, const nlohmann::json& request) {
  const std::scoped_lock held(mutex_);
  for (const Entry& call : calls_) {
    if (call.client == client && call.request == request) call.wanted->cancelled = true;
  }
}

void Clients::cancel_all() {
  const std::scoped_lock held(mutex_);
  closed_ = true;
  for (const Entry& call : calls_) call.wanted->cancelled = true;
}

}  // namespace bulkhead::mcp
