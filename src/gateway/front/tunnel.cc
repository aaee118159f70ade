#include "gateway/front/tunnel.h"

#include "gateway/front/answer.h"

namespace bulkhead::front {
namespace {

constexpr std::size_t portion = 16 * 1024;
constexpr std::size_t write_at_once = 64 * 1024;

}  // namespace

void Tunnel::cut(std::string reason) {
  if (reason_.empty()) reason_ = std::move(reason);
  lane_->abandon();
  stream_.abandon();
}

void Tunnel::withdraw(Gone why) {
  if (!lane_) return;
  denial_ = text_of(why);
  cut(name_of(why));
}

Task<void> Tunnel::run(LanePool& pool) {
  const auto self = shared_from_this();
  lane_ = pool.take();
  if (!lane_) {
    reason_ = "lanes";
    co_return;
  }
  if (co_await open()) {
    uploading_ = true;
    asio::co_spawn(shared_.io, [self]() -> Task<void> { co_await self->upload(); }, asio::detached);
    co_await download();
    while (uploading_) co_await upload_ended_.async_wait(no_throw);
  }
  pool.drop(std::move(lane_));
}

Task<bool> Tunnel::open() {
  const std::string ask = lane::encode(asked_);
  if (!co_await lane_->send(ask)) {
    reason_ = "egress";
    co_return false;
  }
  for (;;) {
    if (const auto piece = lane_->next()) {
      if (piece->kind == lane::Kind::opened) co_return true;
      reason_ = "egress";
      if (piece->kind != lane::Kind::failure) co_return false;
      const auto failure = lane::decode_failure(piece->bytes);
      if (!failure) co_return false;
      reason_ = failure->reason;
      if (is_denial(failure->status)) denial_ = failure->text;
      co_return false;
    }
    if (lane_->broken() || !co_await lane_->fill()) {
      if (reason_.empty()) reason_ = "egress";
      co_return false;
    }
  }
}

Task<void> Tunnel::upload() {
  const auto buffer = std::make_unique_for_overwrite<char[]>(portion);
  for (;;) {
    const std::size_t got = co_await stream_.read(buffer.get(), portion);
    up_ += got;
    const std::string out = got == 0 ? lane::encode_end() : lane::encode_body({buffer.get(), got});
    if (!co_await lane_->send(out)) {
      cut("egress");
      break;
    }
    if (got == 0) break;
  }
  uploading_ = false;
  upload_ended_.cancel();
}

Task<void> Tunnel::download() {
  std::string out;
  bool ended = false;
  while (!ended) {
    while (const auto piece = lane_->next()) {
      ended = piece->kind == lane::Kind::end;
      if (piece->kind != lane::Kind::end && piece->kind != lane::Kind::body) {
        cut("egress");
        co_return;
      }
      out += piece->bytes;
      if (ended || out.size() >= write_at_once) break;
    }
    if (!out.empty()) {
      down_ += out.size();
      if (!co_await stream_.write(out, shared_.limits.write)) {
        cut("client-gone");
        co_return;
      }
      out.clear();
    } else if (!ended && (lane_->broken() || !co_await lane_->fill())) {
      cut("upstream");
      co_return;
    }
  }
  stream_.end_writing();
}

}  // namespace bulkhead::front
