// Lane frames from the other side of the gateway: decoded or refused, and what was decoded encodes to the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/lane.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto request = lane::decode_request(text)) {
    expect(lane::encode(*request).substr(lane::header_size) == text);
  }
  if (const auto response = lane::decode_response(text)) {
    expect(lane::encode(*response).substr(lane::header_size) == text);
  }
  if (const auto failure = lane::decode_failure(text)) {
    expect(lane::encode(*failure).substr(lane::header_size) == text);
  }
  if (const auto tunnel = lane::decode_tunnel(text)) {
    expect(lane::encode(*tunnel).substr(lane::header_size) == text);
  }
  if (const auto trailers = lane::decode_trailers(text)) {
    expect(!trailers->empty() && lane::encode_trailers(*trailers).substr(lane::header_size) == text);
  }
  if (const auto message = lane::decode_message(text)) {
    expect(lane::encode(*message).substr(lane::header_size) == text);
  }
  if (text.size() >= lane::header_size) (void)lane::decode_header(text.substr(0, lane::header_size));
  return 0;
}
