#include "gateway/front/websocket.h"

#include "base/text.h"

namespace bulkhead::front {
namespace {

constexpr std::size_t write_at_once = 64 * 1024;

std::uint16_t code_for(const lane::Failure& failure) {
  if (failure.status == 413) return websocket::too_big;
  return failure.status == 403 || failure.status == 429 ? websocket::policy_violation : websocket::internal_error;
}

}  // namespace

// The first reason is the one that counts. download() says it to the client.
void WebSocket::end(std::uint16_t code, std::string reason, std::string text) {
  if (!reason_.empty()) return;
  code_ = code;
  reason_ = std::move(reason);
  text_ = std::move(text);
  lane_.abandon();
}

void WebSocket::cut(Gone why) {
  end(websocket::policy_violation, name_of(why), text_of(why));
  denial_ = text_;
  // A client that does not read does not keep it open.
  const auto timer = std::make_shared<Timer>(shared_.io, shared_.limits.cut);
  timer->async_wait([timer, weak = weak_from_this()](boost::system::error_code) {
    if (const auto self = weak.lock(); self && self->running_) self->stream_.abandon();
  });
}

Task<void> WebSocket::run() {
  const auto self = shared_from_this();
  uploading_ = running_ = true;
  asio::co_spawn(shared_.io, [self]() -> Task<void> { co_await self->upload(); }, asio::detached);
  co_await download();
  if (code_ != 0) {
    // The client's own frames have no reader any more, and what it says to this one is not waited for.
    stream_.stop_reading();
    const lane::Message close{lane::Opcode::close, true,
                              websocket::close_payload(code_, "Bulkhead: " + escape_for_terminal(text_, 400))};
    (void)co_await stream_.write(websocket::frame(websocket::Sender::server, close), shared_.limits.cut);
  } else if (!closed_up_) {
    stream_.set_deadline(shared_.limits.close);
  }
  while (uploading_) co_await upload_ended_.async_wait(no_throw);
  stream_.clear_deadline();
  running_ = false;
}

Task<void> WebSocket::upload() {
  while (!closed_up_) {
    if (input_.empty() && !co_await input_.fill(stream_)) {
      end(0, "client-gone", "");
      break;
    }
    std::string_view bytes = input_.view();
    std::string out, wrong;
    while (!closed_up_) {
      auto part = reader_.next(bytes);
      if (!part) wrong = part.error();
      if (!part || !*part) break;
      up_ += (*part)->data.size();
      messages_up_ += (*part)->last && !websocket::is_control((*part)->opcode) ? 1 : 0;
      closed_up_ = (*part)->opcode == lane::Opcode::close;
      out += lane::encode(**part);
    }
    input_.consume(input_.view().size() - bytes.size());
    if (!out.empty() && !co_await lane_.send(out)) break;  // download() finds out why
    if (!wrong.empty()) {
      end(websocket::protocol_error, "websocket", wrong);
      break;
    }
  }
  uploading_ = false;
  upload_ended_.cancel();
}

// False: nothing more is taken from egress.
bool WebSocket::take(const EgressLane::Piece& piece, std::string& out) {
  if (piece.kind == lane::Kind::failure) {
    if (const auto failure = lane::decode_failure(piece.bytes)) {
      end(code_for(*failure), failure->reason, failure->text);
      if (code_ != websocket::internal_error) denial_ = text_;
      return false;
    }
  }
  if (piece.kind == lane::Kind::message) {
    auto part = lane::decode_message(piece.bytes);
    if (part && !order_.take(*part)) {
      down_ += part->data.size();
      messages_down_ += part->last && !websocket::is_control(part->opcode) ? 1 : 0;
      out += websocket::frame(websocket::Sender::server, *part);
      return !order_.closed();
    }
  }
  end(websocket::internal_error, "egress", "the gateway is broken");
  return false;
}

Task<void> WebSocket::download() {
  std::string out;
  for (bool more = true; more;) {
    while (more) {
      const auto piece = lane_.next();
      if (!piece) break;
      more = take(*piece, out);
      if (out.size() >= write_at_once) break;
    }
    if (!out.empty()) {
      if (!co_await stream_.write(out, shared_.limits.write)) {
        end(0, "client-gone", "");
        co_return;
      }
      out.clear();
    } else if (more && (lane_.broken() || !co_await lane_.fill())) {
      end(websocket::internal_error, "upstream", "the connection to the server was lost");
      co_return;
    }
  }
}

}  // namespace bulkhead::front
