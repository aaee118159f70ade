// What gVisor's sentry, or a virtual machine, sends about the processes inside: each datagram or frame is either what
// it may say or an error, and what is made of it is an event that evidence takes, whatever the bytes are.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "evidence/event_reader.h"
#include "evidence/limits.h"
#include "expect.h"
#include "trace/decode.h"
#include "trace/events.h"
#include "trace/lineage.h"
#include "trace/machine.h"
#include "trace/pace.h"

using namespace bulkhead;

namespace {

struct Maker {
  trace::Lineage& lineage;
  evidence::Event operator()(const trace::Began& what) const {
    lineage.began(what);
    return event_of(what, lineage.of(what.pid), "gvisor");
  }
  evidence::Event operator()(const trace::Executed& what) const {
    lineage.executed(what);
    return event_of(what, lineage.of(what.by.pid), "gvisor");
  }
  evidence::Event operator()(const trace::Runs& what) const {
    lineage.runs(what);
    return event_of(what, lineage.of(what.by.pid), "gvisor");
  }
  evidence::Event operator()(const trace::Ended& what) const {
    const trace::Process process = lineage.of(what.pid);
    lineage.ended(what.pid);
    return event_of(what, process, "gvisor");
  }
  template <class What>
  evidence::Event operator()(const What& what) const {
    return event_of(what, lineage.of(what.by.pid), "gvisor");
  }
};

void check(const evidence::Event& event) {
  const std::string text = "{\"type\":\"" + std::string(event.type()) + "\"," + std::string(event.fields()) + "}";
  expect(text.size() <= evidence::max_event);
  expect(nlohmann::json::accept(text));
  evidence::EventReader reader;
  bool sync = false;
  expect(static_cast<bool>(reader.read(text, sync)) && !sync);
}

struct Record {
  trace::Lineage lineage;
  trace::Pace pace{{4, 0, 4096, 0}, {}};

  void take(const Result<trace::Told>& told) {
    if (!told) return;
    pace.unsent(told->unsent);
    if (!told->what) return;
    const evidence::Event event = std::visit(Maker{lineage}, *told->what);
    check(event);
    (void)pace.allows(trace::Kind::executed, event.fields().size(), {});
  }
  void end() {
    for (const bool unheard : {false, true}) check(event_of(pace.take(), unheard, "machine"));
    expect(lineage.size() <= trace::Lineage::most);
  }
};

// Datagrams, each behind two bytes of its length.
void of_gvisor(std::string_view rest) {
  Record all;
  (void)trace::check_greeting(rest);
  while (rest.size() >= 2) {
    const std::size_t length =
        static_cast<std::uint8_t>(rest[0]) | static_cast<std::size_t>(static_cast<std::uint8_t>(rest[1])) << 8U;
    rest.remove_prefix(2);
    const std::string_view datagram = rest.substr(0, length);
    rest.remove_prefix(datagram.size());
    all.take(trace::decode(datagram));
  }
  all.end();
}

// Its stream.
void of_a_machine(std::string_view rest) {
  Record all;
  for (auto frame = shim::record::next_frame(rest); frame && *frame; frame = shim::record::next_frame(rest)) {
    const auto said = shim::record::decode(**frame);
    if (!said) continue;
    const std::string again = shim::record::encode(*said);
    expect(std::string_view(again).substr(4) == **frame);
    all.take(trace::told_by_machine(*said));
  }
  all.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  of_gvisor(bytes);
  of_a_machine(bytes);
  return 0;
}
