// DNS questions from the workload: an answer of at most 512 bytes, or none.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/front/dns.h"
#include "gateway/grant/host.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  front::NameTable names{front::NameLimits{}};
  front::Dns dns(names, {.canonical = [](std::string_view name) { return grant::canonical_host(name); },
                         .granted = [](std::string_view) { return true; },
                         .ipv6 = true,
                         .first_query = [](std::string_view name, std::string_view) { expect(!name.empty()); }});
  const auto now = TokenBucket::Clock::now();
  expect(dns.answer(text, now).size() <= 512);
  expect(dns.answer(text, now).size() <= 512);
  expect(names.size() <= 2);
  return 0;
}
