// FUSE requests as no kernel would send them: of any opcode, node, length, owner and body, straight to the file server
// behind a virtio-fs device. linux/fuse.h has what is in them.
#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "turned/virtio_device.h"

namespace bulkhead::turned {

// A request's part as its bytes.
template <class Part>
std::string part(const Part& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
// With the NUL that ends a name.
std::string name(std::string_view text);

struct Answer {
  bool came = false;
  int error = 0;      // errno, positive; 0: done
  std::string bytes;  // after the header
  std::string text() const;
  // The answer's first part, zeros where it is shorter.
  template <class Part>
  Part as() const {
    Part value{};
    bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
};

struct Lies {
  std::optional<std::uint32_t> length, owner;  // of both kinds
};

class Fuse {
 public:
  explicit Fuse(VirtioDevice device) : device_(device) {}
  // Whose the requests are that don't say otherwise.
  void be(std::uint32_t uid, std::uint32_t gid) {
    uid_ = uid;
    gid_ = gid;
  }

  // `room` is for the answer; bytes.
  Answer ask(std::uint32_t opcode, std::uint64_t node, std::string_view body, const Lies& lies = {},
             std::size_t room = 8192);

  // What a kernel asks often, with any name and flags.
  Answer look_up(std::uint64_t node, std::string_view path_name);
  Answer open(std::uint64_t node, std::uint32_t flags);
  Answer create(std::uint64_t folder, std::string_view file, std::uint32_t flags, std::uint32_t mode,
                const Lies& lies = {});
  Answer read(std::uint64_t node, std::uint64_t handle, std::uint32_t bytes = 4096, std::uint64_t at = 0);
  Answer write(std::uint64_t node, std::uint64_t handle, std::string_view bytes, std::uint64_t at = 0);
  Answer set(std::uint64_t node, const fuse_setattr_in& wanted);

  // Everything that an answer brought since the last call, but what was asked for with write().
  std::string take_seen();
  VirtioDevice& device() { return device_; }
  // Somebody is there that answers.
  bool alive();

 private:
  VirtioDevice device_;
  std::uint64_t count_ = 0;
  std::uint32_t uid_ = 0, gid_ = 0;
  std::string seen_;
};

}  // namespace bulkhead::turned
