// What a virtual machine's first program and bulkhead-machine say to each other (guest/boot.h): decoded or refused,
// what was decoded encodes to the same bytes, and nothing that is kept is larger than what was said.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "expect.h"
#include "guest/boot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view said(reinterpret_cast<const char*>(data), size);
  if (const auto message = shim::decode_from_init(said)) expect(shim::encode(*message) == said);
  if (const auto time = shim::decode_time(said)) expect(shim::encode_time(*time) == said);
  if (const auto boot = shim::decode_boot(said)) {
    expect(boot->mounts.size() <= size && boot->program.size() <= size);
    const auto again = shim::encode(*boot);
    expect(size > shim::max_boot || (again && *again == said));
  }
  return 0;
}
