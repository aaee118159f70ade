// A DNS answer of ours is one to a reader that is not ours (glibc's), and answers the question that reader sees.
#include <arpa/nameser.h>
#include <errno.h>
#include <strings.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/peers/expect.h"
#include "gateway/front/dns.h"
#include "gateway/grant/host.h"

namespace {
const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  front::NameTable names{front::NameLimits{}};
  front::Dns dns(names, {.canonical = [](std::string_view name) { return grant::canonical_host(name); },
                         .granted = [](std::string_view) { return true; },
                         .ipv6 = true,
                         .first_query = [](std::string_view, std::string_view) {}});
  const std::string answer = dns.answer(text, TokenBucket::Clock::now());
  if (answer.empty()) return 0;
  ns_msg asked, got;
  expect(ns_initparse(bytes(answer), static_cast<int>(answer.size()), &got) == 0);
  expect(ns_msg_getflag(got, ns_f_qr) == 1);
  expect(text.size() >= 2 && text.substr(0, 2) == std::string_view(answer).substr(0, 2));
  if (ns_initparse(bytes(text), static_cast<int>(text.size()), &asked) != 0) {
    if (errno == EMSGSIZE) return 0;  // there is more behind the question, which nobody looks at
    // What it can't read is answered with an error and nothing else.
    expect(ns_msg_getflag(got, ns_f_rcode) != ns_r_noerror && ns_msg_count(got, ns_s_an) == 0);
    return 0;
  }
  ns_rr question, record;
  const bool one = ns_msg_count(asked, ns_s_qd) == 1 && ns_parserr(&asked, ns_s_qd, 0, &question) == 0;
  for (int i = 0; i < ns_msg_count(got, ns_s_an); ++i) {
    expect(one && ns_parserr(&got, ns_s_an, i, &record) == 0);
    expect(::strcasecmp(ns_rr_name(record), ns_rr_name(question)) == 0 && ns_rr_type(record) == ns_rr_type(question));
    expect(ns_rr_rdlen(record) == (ns_rr_type(record) == ns_t_a ? 4 : 16));
  }
  return 0;
}
