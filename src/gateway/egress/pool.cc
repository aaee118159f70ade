#include "gateway/egress/pool.h"

#include <vector>

#include "gateway/egress/limits.h"

namespace bulkhead::egress {

std::shared_ptr<Connection> Pool::take(const std::string& key) {
  const auto at = idle_.find(key);
  while (at != idle_.end() && !at->second.empty()) {
    std::shared_ptr<Connection> connection = std::move(at->second.back());
    at->second.pop_back();
    --count_;
    if (!connection->quiet()) continue;
    connection->reused = true;
    connection->extend(registry_->timeouts.quiet);
    return connection;
  }
  return nullptr;
}

void Pool::put(std::shared_ptr<Connection> connection) {
  auto& kept = idle_[connection->key];
  if (kept.size() >= max_idle_per_host || count_ >= max_idle) return;
  connection->rest();
  kept.push_back(std::move(connection));
  ++count_;
}

void Pool::watch() {
  if (ticking_) return;
  ticking_ = true;
  tick_.expires_after(registry_->timeouts.tick);
  tick_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    ticking_ = false;
    sweep();
    if (!registry_->connections.empty()) watch();  // no wake-ups while there is nothing to watch
  });
}

void Pool::sweep() {
  const auto now = Connection::Clock::now();
  for (auto at = idle_.begin(); at != idle_.end();) {
    auto& kept = at->second;
    while (!kept.empty() && now - kept.front()->idle_since > registry_->timeouts.idle) {
      kept.pop_front();
      --count_;
    }
    at = kept.empty() ? idle_.erase(at) : std::next(at);
  }
  // expire() only wakes coroutines: they run, and may close connections, after this loop.
  for (Connection* connection : registry_->connections) {
    if (now > connection->deadline() && !connection->timed_out()) connection->expire();
  }
}

}  // namespace bulkhead::egress
