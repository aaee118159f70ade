// What a workload prints, filtered: the same however it is cut, the same when filtered again, and without what acts on
// the user's machine.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "session/terminal/filter.h"

namespace {
std::string filtered(std::string_view in, std::size_t step) {
  bulkhead::session::OutputFilter filter;
  std::string out;
  for (; !in.empty(); in.remove_prefix(std::min(step, in.size()))) filter.feed(in.substr(0, step), out);
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string whole = filtered(text, text.size() + 1);
  expect(filtered(text, 1) == whole);
  expect(filtered(text, 3) == whole);
  expect(filtered(whole, whole.size() + 1) == whole);
  for (const char* never : {"\x1b]52", "\x1b]1337", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1b%", "\x1b[21t", "\x05"}) {
    expect(whole.find(never) == std::string::npos);
  }
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    expect(whole[i] != '\xc2' || static_cast<unsigned char>(whole[i + 1]) >= 0xa0);  // C1
  }
  return 0;
}
