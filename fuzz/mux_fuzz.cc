// What a kernel of its own says on the commands' stream (guest/mux.h), as the supervisor hears it: any bytes, in any
// pieces, while callers write, read slowly or go away. Nothing is held beyond a channel's window, and nothing arrives
// where it was not sent.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/sys.h"
#include "expect.h"
#include "guest/mux.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  using namespace bulkhead::shim;
  if (size > 200'000) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  auto stream = sys::socket_pair(SOCK_STREAM);
  if (!stream) return 0;
  (void)sys::set_nonblocking(stream->second.get(), true);
  Mux mux(std::move(stream->first));
  std::vector<UniqueFd> far;
  for (int i = 0; i < 2; ++i) {
    Ends near;
    for (std::uint8_t channel = 0; channel < channels; ++channel) {
      auto pair = channel == control    ? sys::socket_pair(SOCK_SEQPACKET)
                  : channel == terminal ? sys::socket_pair(SOCK_STREAM)
                                        : sys::pipe();
      if (!pair) return 0;
      near[channel] = std::move(channel == input ? pair->first : pair->second);
      UniqueFd other = std::move(channel == input ? pair->second : pair->first);
      (void)sys::set_nonblocking(other.get(), true);
      far.push_back(std::move(other));
    }
    expect(static_cast<bool>(mux.open(std::move(near))));
  }
  while (!rest.empty()) {
    // Its first byte says what is done outside, the second how much arrives at once.
    const auto what = static_cast<unsigned char>(rest[0]);
    const std::size_t piece = rest.size() > 1 ? 1 + static_cast<unsigned char>(rest[1]) * 8U : 1;
    rest.remove_prefix(std::min<std::size_t>(2, rest.size()));
    const std::string_view part = rest.substr(0, piece);
    rest.remove_prefix(part.size());
    if (!part.empty() && ::write(stream->second.get(), part.data(), part.size()) < 0) break;
    UniqueFd& one = far[what % far.size()];
    char buffer[4096];
    if (one && (what & 0x20) != 0) (void)!::read(one.get(), buffer, sizeof buffer);
    if (one && (what & 0x40) != 0 && what % channels != output && what % channels != errors) {
      (void)::send(one.get(), "said", 4, MSG_NOSIGNAL);
    }
    if ((what & 0x80) != 0) one.reset();
    std::vector<pollfd> fds;
    mux.prepare(fds);
    if (::poll(fds.data(), fds.size(), 0) < 0) break;
    if (!mux.handle(fds)) break;
    (void)!::read(stream->second.get(), buffer, sizeof buffer);
  }
  expect(mux.commands() <= 2);
  return 0;
}
