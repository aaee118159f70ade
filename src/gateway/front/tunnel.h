// One opaque connection that a tcp grant allows: bytes to egress and back, counted and unread.
#pragma once

#include <memory>
#include <string>

#include "gateway/front/egress_lane.h"
#include "gateway/front/shared.h"
#include "gateway/front/stream.h"

namespace bulkhead::front {

class Tunnel : public std::enable_shared_from_this<Tunnel> {
 public:
  // Both references outlive it.
  Tunnel(Shared& shared, Stream& stream, lane::Tunnel asked)
      : shared_(shared),
        stream_(stream),
        asked_(std::move(asked)),
        upload_ended_(shared.io, Clock::time_point::max()) {}

  // Until both sides have ended, or one is gone.
  Task<void> run(LanePool& pool);

  // Ends it: its grant is gone.
  void withdraw(Gone why);

  std::uint64_t up() const { return up_; }
  std::uint64_t down() const { return down_; }
  // Why it did not end by itself: evidence's word, and a line for people where something was not granted after all.
  const std::string& reason() const { return reason_; }
  const std::string& denial() const { return denial_; }

 private:
  Task<bool> open();
  Task<void> upload();
  Task<void> download();
  void cut(std::string reason);

  Shared& shared_;
  Stream& stream_;
  const lane::Tunnel asked_;
  std::unique_ptr<EgressLane> lane_;
  Timer upload_ended_;
  bool uploading_ = false;
  std::string reason_, denial_;
  std::uint64_t up_ = 0, down_ = 0;
};

}  // namespace bulkhead::front
