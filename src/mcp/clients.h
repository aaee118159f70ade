// Who is connected by HTTP: the sessions of the protocol that `initialize` began (the revisions before 2026-07-28), and
// the calls that are under way, which their clients may cancel. Every function may be called by any thread.
#pragma once

#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "mcp/inside.h"

namespace bulkhead::mcp {

class Clients {
  struct Entry {
    std::string client;
    nlohmann::json request;
    Wanted* wanted;
  };

 public:
  static constexpr std::size_t most = 256;

  // A new one's id: nobody guesses it. Where there are `most`, the one that was not heard of for longest makes room.
  std::string begin();
  // Is this one of them?
  bool heard(const std::string& id);
  // What it has under way is cancelled. False: there was none.
  bool end(const std::string& id);

  // Takes one of the places that there are for calls; it is given back with the object.
  class Call {
   public:
    Call(Clients& clients, std::list<Entry>::iterator at) : clients_(clients), at_(at) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call();

   private:
    Clients& clients_;
    std::list<Entry>::iterator at_;
  };
  // `client` is empty for one that is in no session, whose calls end with their connection only. nullopt: there are
  // max_calls already. `wanted` outlives it.
  std::optional<Call> call(const std::string& client, const nlohmann::json& request, Wanted& wanted);
  void cancel(const std::string& client, const nlohmann::json& request);
  // And no more of them.
  void cancel_all();

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint64_t> heard_;  // when, counted in requests
  std::uint64_t now_ = 0;
  std::list<Entry> calls_;
  bool closed_ = false;
};

}  // namespace bulkhead::mcp
