// What comes over the shim's socket, either way: decoded or refused, and what was decoded encodes to the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "guest/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto message = shim::decode_to_supervisor(text)) expect(shim::encode(*message) == text);
  if (const auto message = shim::decode_to_shim(text)) expect(shim::encode(*message) == text);
  shim::SetupReader reader;
  if (const auto last = reader.add(text); last && *last) (void)reader.finish();
  return 0;
}
