// rtnetlink(7) requests, and the two changes a room needs by them and netdevice(7): `lo` up, and every address local.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::room {

Result<UniqueFd> open_rtnetlink();

// One rtnetlink(7) request: a header, the message's own part, and attributes, which can hold others.
class NetlinkRequest {
 public:
  template <class Part>
  NetlinkRequest(std::uint16_t type, std::uint16_t flags, const Part& part) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    add(&header, sizeof header);
    add(&part, sizeof part);
  }

  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    const std::size_t at = open(type);
    raw(data, size);
    close(at);
  }
  void attribute(std::uint16_t type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  void attribute(std::uint16_t type, const char* text) { attribute(type, text, ::strlen(text) + 1); }
  template <class Part>
  void plain(const Part& part) {
    add(&part, sizeof part);
  }
  // An attribute that holds what comes until close().
  std::size_t open(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    const rtattr head{0, type};
    add(&head, sizeof head);
    return at;
  }
  void close(std::size_t at) {
    const auto size = static_cast<std::uint16_t>(bytes_.size() - at);
    ::memcpy(bytes_.data() + at, &size, sizeof size);
    pad();
  }

  // Waits for the kernel's answer; `what` is for the error.
  Result<void> send(int socket, const char* what);

 private:
  void add(const void* data, std::size_t size) {
    raw(data, size);
    pad();
  }
  void raw(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
  }
  void pad() { bytes_.resize((bytes_.size() + RTA_ALIGNTO - 1) / RTA_ALIGNTO * RTA_ALIGNTO); }

  std::vector<char> bytes_;
};

// IFF_UP on `lo` of the caller's network namespace.
Result<void> bring_up_loopback();

// `ip route add local default dev lo` for AF_INET or AF_INET6 ("AnyIP", Linux 2.6.37), in the table `table`: whatever
// address is asked for, this host answers it, and nothing can be routed anywhere else.
Result<void> make_every_address_local(int family, unsigned char table = RT_TABLE_MAIN);

}  // namespace bulkhead::room
