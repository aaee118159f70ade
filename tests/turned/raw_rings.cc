#include "turned/raw_rings.h"

#include <fcntl.h>

#include <functional>
#include <vector>

namespace bulkhead::turned {
namespace {

// A server that ended takes the machine with it, long before.
constexpr std::chrono::seconds patience(60);
constexpr std::uint16_t next = VRING_DESC_F_NEXT, write = VRING_DESC_F_WRITE, indirect = VRING_DESC_F_INDIRECT;

struct Attempt {
  const char* what;
  std::function<void(Fuse&, std::uint64_t file)> work;
};

struct Link {
  std::uint64_t address;  // in the device's page if it is less than that
  std::uint32_t length;
  std::uint16_t flags, next;
};

// A request that would be right stands at requests_at, and there is room for an answer behind.
constexpr std::uint64_t request = VirtioDevice::requests_at, answer = 1U << 20;

vring_desc placed(const VirtioDevice& device, const Link& link) {
  return {link.address < VirtioDevice::size ? device.address(link.address) : link.address, link.length, link.flags,
          link.next};
}

void chain(Fuse& fuse, const std::vector<Link>& links, std::uint16_t head = 0) {
  VirtioDevice& device = fuse.device();
  for (std::size_t i = 0; i < links.size(); ++i) device.table()[i] = placed(device, links[i]);
  (void)device.offer(head, patience);
}

void in_table(Fuse& fuse, const std::vector<Link>& links, std::uint32_t bytes) {
  VirtioDevice& device = fuse.device();
  for (std::size_t i = 0; i < links.size(); ++i) device.indirect()[i] = placed(device, links[i]);
  device.table()[0] = {device.indirect_address(), bytes, indirect, 0};
  (void)device.offer(0, patience);
}

void forget(Fuse& fuse, std::uint64_t node, std::uint64_t times) {
  (void)fuse.ask(FUSE_FORGET, node, part(fuse_forget_in{times}));
}

void forget_many(Fuse& fuse, std::uint32_t claimed, const std::vector<fuse_forget_one>& all) {
  std::string body = part(fuse_batch_forget_in{claimed, 0});
  for (const auto& one : all) body += part(one);
  (void)fuse.ask(FUSE_BATCH_FORGET, 0, body);
}

// With what is forgotten then used.
void use(Fuse& fuse, std::uint64_t file) {
  (void)fuse.set(file, {});
  const Answer opened = fuse.open(file, O_RDWR);
  (void)fuse.read(file, opened.as<fuse_open_out>().fh);
}

void begin_again(Fuse& fuse, std::uint32_t major, std::uint32_t minor, std::uint32_t flags) {
  fuse_init_in in{};
  in.major = major;
  in.minor = minor;
  in.max_readahead = flags;
  in.flags = flags;
  in.flags2 = flags;
  (void)fuse.ask(FUSE_INIT, 0, part(in));
}

const std::vector<Attempt>& attempts() {
  constexpr std::uint64_t behind_memory = 1ULL << 40;
  static const std::vector<Attempt> all = {
      {"begins again", [](Fuse& f, auto) { begin_again(f, 7, 38, 0xffffffff); }},
      {"begins again, of old", [](Fuse& f, auto) { begin_again(f, 7, 1, 0); }},
      {"begins again, of later", [](Fuse& f, auto) { begin_again(f, 0xffffffff, 0xffffffff, 0xffffffff); }},
      {"begins again, of never", [](Fuse& f, auto) { begin_again(f, 0, 0, 0); }},
      {"begins with half a word", [](Fuse& f, auto) { (void)f.ask(FUSE_INIT, 0, "1234"); }},
      {"begins as a device", [](Fuse& f, auto) { (void)f.ask(CUSE_INIT, 0, std::string(200, '\0')); }},
      {"ends, and goes on",
       [](Fuse& f, auto file) {
         (void)f.ask(FUSE_DESTROY, 0, "");
         use(f, file);
       }},
      {"interrupts nobody", [](Fuse& f, auto) { (void)f.ask(FUSE_INTERRUPT, 0, std::string(200, '\0')); }},
      {"forgets what it has",
       [](Fuse& f, auto file) {
         forget(f, file, 1);
         use(f, file);
       }},
      {"forgets below zero",
       [](Fuse& f, auto file) {
         forget(f, file, ~0ULL);
         use(f, file);
       }},
      {"forgets the top", [](Fuse& f, auto) { forget(f, FUSE_ROOT_ID, ~0ULL); }},
      {"forgets nobody", [](Fuse& f, auto) { forget(f, 99'999, 1); }},
      {"forgets twice in one",
       [](Fuse& f, auto file) {
         forget_many(f, 2, {{file, 1}, {file, 1}});
         use(f, file);
       }},
      {"forgets more than it names", [](Fuse& f, auto file) { forget_many(f, 0xffffffff, {{file, 1}}); }},
      {"forgets a number that wraps", [](Fuse& f, auto file) { forget_many(f, 0x10000001, {{file, 1}}); }},
      {"a loop of two", [](Fuse& f, auto) { chain(f, {{request, 40, next, 1}, {answer, 4096, next | write, 0}}); }},
      {"no such descriptor", [](Fuse& f, auto) { chain(f, {{request, 40, next, 0xfff0}}); }},
      {"a request behind memory",
       [](Fuse& f, auto) { chain(f, {{behind_memory, 64, next, 1}, {answer, 4096, write, 0}}); }},
      {"an answer behind memory",
       [](Fuse& f, auto) { chain(f, {{request, 56, next, 1}, {behind_memory, 4096, write, 0}}); }},
      {"a request without end",
       [](Fuse& f, auto) { chain(f, {{request, 0xffffffff, next, 1}, {answer, 4096, write, 0}}); }},
      {"the answer first", [](Fuse& f, auto) { chain(f, {{answer, 4096, next | write, 1}, {request, 56, 0, 0}}); }},
      {"no room for an answer", [](Fuse& f, auto) { chain(f, {{request, 56, 0, 0}}); }},
      {"little room for an answer", [](Fuse& f, auto) { chain(f, {{request, 56, next, 1}, {answer, 3, write, 0}}); }},
      {"room for a head alone", [](Fuse& f, auto) { chain(f, {{request, 56, next, 1}, {answer, 16, write, 0}}); }},
      {"nothing but room", [](Fuse& f, auto) { chain(f, {{answer, 4096, write, 0}}); }},
      {"a request of 39 bytes", [](Fuse& f, auto) { chain(f, {{request, 39, next, 1}, {answer, 4096, write, 0}}); }},
      {"a table in a table",
       [](Fuse& f, auto) { in_table(f, {{request, 16, indirect, 0}, {answer, 4096, write, 0}}, 32); }},
      {"more requests than there is room for", [](Fuse& f, auto) { f.device().claim(0x7000); }},
  };
  return all;
}

}  // namespace

void try_to_end_it(Fuse& fuse, Report& report, const Place& place, std::size_t first) {
  for (std::size_t i = first; i < attempts().size(); ++i) {
    const Attempt& attempt = attempts()[i];
    report.line(std::to_string(i) + " begins: " + attempt.what);
    const std::uint64_t file = walk(fuse, place);
    // What a chain of its own finds there: asks for attributes.
    (void)fuse.ask(FUSE_GETATTR, FUSE_ROOT_ID, part(fuse_getattr_in{}));
    attempt.work(fuse, file);
    if (!fuse.alive()) return;
    const Answer top = fuse.ask(FUSE_GETATTR, FUSE_ROOT_ID, part(fuse_getattr_in{}));
    if (top.error != 0) begin_again(fuse, FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION, 0);
    report.line(std::to_string(i) + " came through");
  }
  report.line("all");
}

}  // namespace bulkhead::turned
