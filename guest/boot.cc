#include "guest/boot.h"

#include <errno.h>

#include "guest/bytes.h"

namespace bulkhead::shim {
namespace {

constexpr std::string_view magic = "BHB1", time_magic = "BHT1";
constexpr std::size_t max_text = 1000;

}  // namespace

Result<std::string> encode(const Boot& boot) {
  if (boot.seed.size() != seed_size) return fail("the machine's seed has another size");
  Writer w;
  w.out = magic;
  w.number(boot.time, 8);
  w.out += boot.seed;
  w.string(boot.root);
  w.number(boot.mounts.size());
  for (const BootMount& mount : boot.mounts) {
    w.number(static_cast<std::uint8_t>(mount.kind), 1);
    w.string(mount.source);
    w.string(mount.target);
    w.number(mount.writable ? 1 : 0, 1);
    w.number(mount.size, 8);
    w.number(mount.mode);
  }
  w.strings(boot.program);
  w.number(boot.uid);
  w.number(boot.gid);
  w.number(boot.files, 8);
  w.number(boot.record ? 1 : 0, 1);
  if (w.out.size() > max_boot) return fail("more is to be mounted than a virtual machine can be told of", E2BIG);
  BH_CHECK(decode_boot(w.out).map([](const Boot&) {}));
  return w.out;
}

Result<Boot> decode_boot(std::string_view datagram) {
  const auto bad = [] { return Result<Boot>(fail("what the machine is told makes no sense")); };
  if (!datagram.starts_with(magic)) return bad();
  Reader r(datagram.substr(magic.size()));
  Boot boot;
  boot.time = r.wide(8);
  boot.seed = r.bytes(seed_size);
  boot.root = r.string();
  boot.mounts.resize(r.count(22));
  for (BootMount& mount : boot.mounts) {
    mount.kind = r.boolean() ? BootMount::Kind::memory : BootMount::Kind::shown;
    mount.source = r.string();
    mount.target = r.string();
    mount.writable = r.boolean();
    mount.size = r.wide(8);
    mount.mode = r.number();
  }
  boot.program = r.strings();
  boot.uid = r.number();
  boot.gid = r.number();
  boot.files = r.wide(8);
  boot.record = r.boolean();
  if (!r.at_end() || boot.program.empty()) return bad();
  return boot;
}

std::string encode_time(std::uint64_t time) {
  Writer w;
  w.out = time_magic;
  w.number(time, 8);
  return w.out;
}

Result<std::uint64_t> decode_time(std::string_view datagram) {
  const auto bad = [] { return Result<std::uint64_t>(fail("what the machine is told of the time makes no sense")); };
  if (!datagram.starts_with(time_magic)) return bad();
  Reader r(datagram.substr(time_magic.size()));
  const std::uint64_t time = r.wide(8);
  return r.at_end() ? Result<std::uint64_t>(time) : bad();
}

std::string encode(const FromInit& message) {
  Writer w;
  if (std::get_if<Awake>(&message) != nullptr) {
    w.out = "A ";
  } else if (std::get_if<Booted>(&message) != nullptr) {
    w.out = "B ";
  } else if (std::get_if<Asks>(&message) != nullptr) {
    w.out = "T ";
  } else if (const auto* broken = std::get_if<Broken>(&message)) {
    w.out = "E" + broken->text.substr(0, max_text);
  } else if (const auto* over = std::get_if<Over>(&message)) {
    w.out = "O";
    w.number(over->status, 1);
  }
  return w.out;
}

Result<FromInit> decode_from_init(std::string_view datagram) {
  if (datagram == "A ") return Awake{};
  if (datagram == "B ") return Booted{};
  if (datagram == "T ") return Asks{};
  if (datagram.starts_with('E') && datagram.size() <= max_text + 1) return Broken{std::string(datagram.substr(1))};
  if (datagram.starts_with('O') && datagram.size() == 2) return Over{static_cast<std::uint8_t>(datagram[1])};
  return fail("the machine's first program said something that makes no sense");
}

}  // namespace bulkhead::shim
