#include "gateway/egress/pool.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
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

void Pool::clear() {
  idle_.clear();
  count_ = 0;
  for (const auto& [key, connection] : h2_) connection->retire();
  h2_.clear();
}

std::shared_ptr<H2Connection> Pool::h2(const std::string& key) {
  const auto found = h2_.find(key);
  return found != h2_.end() && found->second->has_room() ? found->second : nullptr;
}

void Pool::put(std::shared_ptr<H2Connection> connection) {
  // Every key is a granted place; wildcards can make many of them.
  if (speak_h2_.size() < max_known_h2) speak_h2_.insert(connection->key());
  auto& kept = h2_[connection->key()];
  if (kept) kept->retire();
  kept = std::move(connection);
}

std::shared_ptr<Pool::Dialling> Pool::dial(const std::string& key) {
  const auto never = boost::asio::steady_timer::time_point::max();
  if (!dials_->try_emplace(key, tick_.get_executor(), never).second) return nullptr;
  return std::make_shared<Dialling>(dials_, key);
}

Pool::Dialling::~Dialling() {
  dials_->erase(key_);  // wakes whoever waits
}

boost::asio::awaitable<void> Pool::wait(const std::string& key) {
  const auto found = dials_->find(key);
  if (found == dials_->end()) co_return;
  boost::system::error_code over;
  co_await found->second.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
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
  for (auto at = h2_.begin(); at != h2_.end();) {
    const bool over = !at->second->usable() || at->second->idle_since(now - registry_->timeouts.idle);
    if (over) at->second->retire();
    at = over ? h2_.erase(at) : std::next(at);
  }
  // expire() only wakes coroutines: they run, and may close connections, after this loop.
  for (Connection* connection : registry_->connections) {
    if (now > connection->deadline() && !connection->timed_out()) connection->expire();
  }
}

}  // namespace bulkhead::egress
