#include "turned/fuse_request.h"

#include <string.h>

#include <algorithm>
#include <chrono>

namespace bulkhead::turned {
namespace {

constexpr std::size_t answers_at = 1U << 20;
constexpr std::size_t longest = answers_at - VirtioDevice::requests_at;
// A processor that is emulated on a machine with much else to do.
constexpr std::chrono::seconds patience(60);

}  // namespace

std::string name(std::string_view text) {
  return std::string(text) + '\0';
}

std::string Answer::text() const {
  if (!came) return "no answer";
  if (error == 0) return "done";
  const char* known = ::strerrorname_np(error);
  return known != nullptr ? known : std::to_string(error);
}

Answer Fuse::ask(std::uint32_t opcode, std::uint64_t node, std::string_view body, const Lies& lies, std::size_t room) {
  body = body.substr(0, longest - sizeof(fuse_in_header));
  room = std::clamp(room, sizeof(fuse_out_header), VirtioDevice::size - answers_at);
  fuse_in_header header{};
  header.len = lies.length.value_or(static_cast<std::uint32_t>(sizeof header + body.size()));
  header.opcode = opcode;
  header.unique = ++count_;
  header.nodeid = node;
  header.uid = lies.owner.value_or(uid_);
  header.gid = lies.owner.value_or(gid_);
  header.pid = 1;
  char* const request = device_.memory() + VirtioDevice::requests_at;
  char* const answer = device_.memory() + answers_at;
  ::memcpy(request, &header, sizeof header);
  body.copy(request + sizeof header, body.size());
  ::memset(answer, 0, sizeof(fuse_out_header));
  vring_desc* const table = device_.table();
  // The header on its own, as the kernel's driver has it, which is what a file server may look for.
  table[0] = {device_.address(VirtioDevice::requests_at), sizeof header, VRING_DESC_F_NEXT, 1};
  std::uint16_t last = 0;
  std::size_t at = 0;
  const auto more = [&](std::size_t bytes) {
    table[last].next = static_cast<std::uint16_t>(last + 1);
    table[++last] = {device_.address(VirtioDevice::requests_at + sizeof header + at), static_cast<std::uint32_t>(bytes),
                     VRING_DESC_F_NEXT, 0};
    at += bytes;
  };
  if (opcode == FUSE_WRITE && body.size() > sizeof(fuse_write_in)) more(sizeof(fuse_write_in));
  if (at < body.size()) more(body.size() - at);
  table[last].next = static_cast<std::uint16_t>(last + 1);
  table[last + 1] = {device_.address(answers_at), static_cast<std::uint32_t>(room), VRING_DESC_F_WRITE, 0};
  const auto written = device_.offer(0, patience);
  Answer out;
  if (!written) return out;
  out.came = true;
  fuse_out_header head{};
  ::memcpy(&head, answer, sizeof head);
  out.error = -head.error;
  const std::size_t length = std::min<std::size_t>(std::max(head.len, *written), room);
  if (length > sizeof head) out.bytes.assign(answer + sizeof head, length - sizeof head);
  seen_ += out.bytes;
  return out;
}

Answer Fuse::look_up(std::uint64_t node, std::string_view path_name) {
  return ask(FUSE_LOOKUP, node, name(path_name));
}

Answer Fuse::open(std::uint64_t node, std::uint32_t flags) {
  return ask(FUSE_OPEN, node, part(fuse_open_in{flags, 0}));
}

Answer Fuse::create(std::uint64_t folder, std::string_view file, std::uint32_t flags, std::uint32_t mode,
                    const Lies& lies) {
  return ask(FUSE_CREATE, folder, part(fuse_create_in{flags, mode, 0, 0}) + name(file), lies);
}

Answer Fuse::read(std::uint64_t node, std::uint64_t handle, std::uint32_t bytes, std::uint64_t at) {
  fuse_read_in in{};
  in.fh = handle;
  in.offset = at;
  in.size = bytes;
  return ask(FUSE_READ, node, part(in), {}, sizeof(fuse_out_header) + std::min<std::size_t>(bytes, 1U << 19));
}

Answer Fuse::write(std::uint64_t node, std::uint64_t handle, std::string_view bytes, std::uint64_t at) {
  fuse_write_in in{};
  in.fh = handle;
  in.offset = at;
  in.size = static_cast<std::uint32_t>(bytes.size());
  return ask(FUSE_WRITE, node, part(in) + std::string(bytes));
}

Answer Fuse::set(std::uint64_t node, const fuse_setattr_in& wanted) {
  return ask(FUSE_SETATTR, node, part(wanted));
}

std::string Fuse::take_seen() {
  return std::exchange(seen_, {});
}

bool Fuse::alive() {
  return ask(FUSE_GETATTR, FUSE_ROOT_ID, part(fuse_getattr_in{})).came;
}

}  // namespace bulkhead::turned
