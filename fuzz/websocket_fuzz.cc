// Frames from either end: however they are cut they read the same, what is read is what may be said on a lane, and
// written again it reads as it was. The first byte says whose they are.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "expect.h"
#include "gateway/websocket/frames.h"

namespace {
using namespace bulkhead::websocket;

struct Outcome {
  std::vector<Message> whole;  // messages and control frames, joined
  std::string open;            // of a message that goes on
  std::string error;
  bool operator==(const Outcome& other) const {
    if (whole.size() != other.whole.size() || open != other.open || error != other.error) return false;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (whole[i].opcode != other.whole[i].opcode || whole[i].data != other.whole[i].data) return false;
    }
    return true;
  }
};

// `again`, where it is wanted, becomes the same parts as frames of our own.
Outcome read(Sender sender, std::string_view bytes, std::size_t step, std::string* again) {
  Reader reader(sender);
  Order order;
  Outcome out;
  Message message;
  while (!bytes.empty() && out.error.empty()) {
    std::string_view now = bytes.substr(0, step);
    bytes.remove_prefix(now.size());
    for (;;) {
      auto part = reader.next(now);
      if (!part) out.error = part.error();
      if (!part || !*part) break;
      expect((*part)->data.size() <= max_part);
      expect(!order.take(**part));
      if (again != nullptr) *again += frame(sender, **part);
      if (is_control((*part)->opcode)) {
        out.whole.push_back(**part);
        continue;
      }
      if ((*part)->opcode != Opcode::continuation) message = {(*part)->opcode, true, {}};
      message.data += (*part)->data;
      if ((*part)->last) out.whole.push_back(std::exchange(message, {}));
    }
  }
  out.open = message.data;
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Sender sender = (data[0] & 0x10) != 0 ? Sender::server : Sender::client;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string again;
  const Outcome whole = read(sender, bytes, bytes.size() + 1, &again);
  expect(whole == read(sender, bytes, 1, nullptr));
  expect(whole == read(sender, bytes, 7, nullptr));
  Outcome written = read(sender, again, again.size() + 1, nullptr);
  expect(written.error.empty());
  written.error = whole.error;
  expect(written == whole);
  return 0;
}
