// One request of those that wait (questions.h). It lives as long as the request: the supervisor is told when it ends.
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/front/judge.h"
#include "gateway/front/shared.h"
#include "gateway/front/signal.h"

namespace bulkhead::front {

class Held {
 public:
  // Asks where `denied` is for want of a grant, nothing else stands against the request, and somebody can be asked;
  // else this is empty. The references outlive it.
  Held(Shared& shared, const Arrival& arrival, const http::RequestHead& head, const grant::Decision& denied);
  ~Held();
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  explicit operator bool() const { return number_ != 0; }
  // True: judge it again. False: its client has gone, or there was no answer in time.
  Task<bool> wait();
  // The client has gone.
  void leave();

 private:
  friend class Questions;
  Shared& shared_;
  std::optional<Signal> signal_;  // an allowed request needs none
  std::uint64_t number_ = 0;
  bool answered_ = false, left_ = false;
};

}  // namespace bulkhead::front
