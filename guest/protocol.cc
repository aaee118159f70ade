#include "guest/protocol.h"

#include <algorithm>
#include <array>
#include <limits>

#include "guest/bytes.h"

namespace bulkhead::shim {
namespace {

constexpr std::string_view magic = "BHS4";
constexpr std::size_t max_text = 4096;

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

std::string kind_only(char kind) {
  return std::string(1, kind);
}

bool names_command(const Setup& setup) {
  return setup.hold ? setup.arguments.empty() : !setup.arguments.empty() && !setup.arguments[0].empty();
}

template <class T>
Result<T> malformed() {
  return fail("malformed message on the shim's socket", 0);
}

}  // namespace

bool Setup::operator==(const Setup& o) const {
  return arguments == o.arguments && environment == o.environment && directory == o.directory &&
         std::equal(pty, pty + 3, o.pty) && window == o.window && limits == o.limits && landlock == o.landlock &&
         scope == o.scope && rules == o.rules && own == o.own && mask == o.mask && uid == o.uid && gid == o.gid &&
         own_pid_namespace == o.own_pid_namespace && own_kernel == o.own_kernel && set_group == o.set_group &&
         plain_pty == o.plain_pty && folders == o.folders && links == o.links && hold == o.hold;
}

Result<std::vector<std::string>> encode(const Setup& setup) {
  if (!names_command(setup)) return fail("no command to run");
  bool nul = has_nul(setup.directory) || std::ranges::any_of(setup.arguments, has_nul) ||
             std::ranges::any_of(setup.environment, has_nul) || std::ranges::any_of(setup.own, has_nul);
  for (const Rule& rule : setup.rules) nul = nul || has_nul(rule.path);
  for (const PlacedLink& link : setup.links) nul = nul || has_nul(link.path) || has_nul(link.to);
  nul = nul || std::ranges::any_of(setup.folders, has_nul);
  if (nul) return fail("a NUL byte in an argument, variable or path can't be passed on");

  Writer w;
  w.out = magic;
  w.strings(setup.arguments);
  w.strings(setup.environment);
  w.string(setup.directory);
  for (const bool b : setup.pty) w.number(b ? 1 : 0, 1);
  for (const std::uint16_t n :
       {setup.window.rows, setup.window.columns, setup.window.x_pixels, setup.window.y_pixels}) {
    w.number(n, 2);
  }
  w.number(setup.limits.size());
  for (const Limit& limit : setup.limits) {
    w.number(limit.resource);
    w.number(limit.soft, 8);
    w.number(limit.hard, 8);
  }
  for (const bool b : {setup.landlock, setup.scope, setup.own_pid_namespace}) w.number(b ? 1 : 0, 1);
  w.number(setup.rules.size());
  for (const Rule& rule : setup.rules) {
    w.number(static_cast<std::uint8_t>(rule.access), 1);
    w.string(rule.path);
  }
  w.strings(setup.own);
  w.number(setup.mask);
  w.number(setup.uid);
  w.number(setup.gid);
  for (const bool b : {setup.own_kernel, setup.set_group, setup.plain_pty}) w.number(b ? 1 : 0, 1);
  w.strings(setup.folders);
  w.number(setup.links.size());
  for (const PlacedLink& link : setup.links) {
    w.string(link.path);
    w.string(link.to);
  }
  w.number(setup.hold ? 1 : 0, 1);
  if (w.out.size() > max_setup) {
    return fail("command line and environment take " + std::to_string(w.out.size()) + " bytes; at most " +
                std::to_string(max_setup) + " can be passed on");
  }

  std::vector<std::string> datagrams;
  std::string_view rest = w.out;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, max_datagram - 1);
    rest.remove_prefix(part.size());
    datagrams.push_back(kind_only(rest.empty() ? 's' : 'S').append(part));
  }
  return datagrams;
}

Result<bool> SetupReader::add(std::string_view datagram) {
  if (datagram.size() < 2 || datagram.size() > max_datagram) return malformed<bool>();
  if (datagram[0] != 'S' && datagram[0] != 's') return malformed<bool>();
  if (body_.size() + datagram.size() - 1 > max_setup) return malformed<bool>();
  body_.append(datagram.substr(1));
  return datagram[0] == 's';
}

Result<Setup> SetupReader::finish() const {
  if (!body_.starts_with(magic))
    return fail("this shim and this Bulkhead are of different versions: install both again");
  Reader r(std::string_view(body_).substr(magic.size()));
  Setup setup;
  setup.arguments = r.strings();
  setup.environment = r.strings();
  setup.directory = r.string();
  for (bool& b : setup.pty) b = r.boolean();
  for (std::uint16_t* n : {&setup.window.rows, &setup.window.columns, &setup.window.x_pixels, &setup.window.y_pixels}) {
    *n = static_cast<std::uint16_t>(r.wide(2));
  }
  setup.limits.resize(r.count(20));
  for (Limit& limit : setup.limits) {
    limit.resource = r.number();
    limit.soft = r.wide(8);
    limit.hard = r.wide(8);
  }
  for (bool* b : {&setup.landlock, &setup.scope, &setup.own_pid_namespace}) *b = r.boolean();
  setup.rules.resize(r.count(5));
  for (Rule& rule : setup.rules) {
    const std::uint64_t access = r.wide(1);
    if (access > static_cast<std::uint64_t>(Access::full)) return malformed<Setup>();
    rule.access = static_cast<Access>(access);
    rule.path = r.string();
  }
  setup.own = r.strings();
  setup.mask = r.number();
  setup.uid = r.number();
  setup.gid = r.number();
  for (bool* b : {&setup.own_kernel, &setup.set_group, &setup.plain_pty}) *b = r.boolean();
  setup.folders = r.strings();
  setup.links.resize(r.count(8));
  for (PlacedLink& link : setup.links) {
    link.path = r.string();
    link.to = r.string();
  }
  setup.hold = r.boolean();
  if (!r.at_end() || !names_command(setup)) return malformed<Setup>();
  return setup;
}

std::string encode(const ToShim& message) {
  Writer w;
  if (std::holds_alternative<Go>(message)) return kind_only('g');
  if (std::holds_alternative<Continue>(message)) return kind_only('c');
  if (std::holds_alternative<Finish>(message)) return kind_only('f');
  if (const auto* window = std::get_if<Window>(&message)) {
    w.out = "w";
    for (const std::uint16_t n :
         {window->size.rows, window->size.columns, window->size.x_pixels, window->size.y_pixels}) {
      w.number(n, 2);
    }
    return w.out;
  }
  if (const auto* run = std::get_if<Run>(&message)) {
    w.out = "r";
    for (const bool given : run->given) w.number(given ? 1 : 0, 1);
    return w.out;
  }
  const Signal& signal = std::get<Signal>(message);
  w.out = "k";
  w.number(static_cast<std::uint32_t>(signal.number));
  w.number(signal.foreground ? 1 : 0, 1);
  return w.out;
}

Result<ToShim> decode_to_shim(std::string_view datagram) {
  if (datagram.empty()) return malformed<ToShim>();
  Reader r(datagram.substr(1));
  ToShim message;
  switch (datagram[0]) {
    case 'g':
      message = Go{};
      break;
    case 'c':
      message = Continue{};
      break;
    case 'f':
      message = Finish{};
      break;
    case 'k': {
      Signal signal;
      signal.number = r.number_up_to(64);
      signal.foreground = r.boolean();
      if (signal.number == 0) return malformed<ToShim>();
      message = signal;
      break;
    }
    case 'r': {
      Run run;
      for (bool& given : run.given) given = r.boolean();
      message = run;
      break;
    }
    case 'w': {
      Window window;
      for (std::uint16_t* n : {&window.size.rows, &window.size.columns, &window.size.x_pixels, &window.size.y_pixels}) {
        *n = static_cast<std::uint16_t>(r.wide(2));
      }
      message = window;
      break;
    }
    default:
      return malformed<ToShim>();
  }
  if (!r.at_end()) return malformed<ToShim>();
  return message;
}

std::string encode(const ToSupervisor& message) {
  Writer w;
  if (const auto* m = std::get_if<Ready>(&message)) {
    w.out = "R";
    w.number(m->pty ? 1 : 0, 1);
  } else if (const auto* started = std::get_if<Started>(&message)) {
    w.out = "P";
    w.number(static_cast<std::uint32_t>(started->pid));
    w.number(static_cast<std::uint32_t>(started->landlock_abi));
  } else if (const auto* stopped = std::get_if<Stopped>(&message)) {
    w.out = "T";
    w.number(static_cast<std::uint32_t>(stopped->signal));
  } else if (const auto* listening = std::get_if<Listening>(&message)) {
    w.out = "L";
    w.devices(listening->devices);
  } else if (const auto* empty = std::get_if<Empty>(&message)) {
    w.out = "M";
    w.number(empty->begun);
  } else if (const auto* holding = std::get_if<Holding>(&message)) {
    w.out = "H";
    w.devices(holding->devices);
  } else if (std::holds_alternative<Continued>(message)) {
    w.out = "C";
  } else if (const auto* exited = std::get_if<Exited>(&message)) {
    w.out = "X";
    w.number(static_cast<std::uint32_t>(exited->code));
    w.number(static_cast<std::uint32_t>(exited->signal));
  } else {
    const Failed& failed = std::get<Failed>(message);
    w.out = "E";
    w.number(static_cast<std::uint32_t>(failed.code));
    w.string(std::string_view(failed.text).substr(0, max_text));
  }
  return w.out;
}

Result<ToSupervisor> decode_to_supervisor(std::string_view datagram) {
  if (datagram.empty()) return malformed<ToSupervisor>();
  Reader r(datagram.substr(1));
  ToSupervisor message;
  switch (datagram[0]) {
    case 'R':
      message = Ready{r.boolean()};
      break;
    case 'P': {
      Started started;
      started.pid = r.number_up_to(std::numeric_limits<int>::max());
      started.landlock_abi = r.number_up_to(max_abi);
      message = started;
      break;
    }
    case 'T':
      message = Stopped{r.number_up_to(64)};
      break;
    case 'L':
      message = Listening{r.devices()};
      break;
    case 'H':
      message = Holding{r.devices()};
      break;
    case 'M':
      message = Empty{r.number()};
      break;
    case 'C':
      message = Continued{};
      break;
    case 'X': {
      Exited exited;
      exited.code = r.number_up_to(255);
      exited.signal = r.number_up_to(64);
      message = exited;
      break;
    }
    case 'E': {
      Failed failed;
      failed.code = r.number_up_to(255);
      failed.text = r.string();
      if (failed.code == 0 || failed.text.size() > max_text) return malformed<ToSupervisor>();
      message = std::move(failed);
      break;
    }
    default:
      return malformed<ToSupervisor>();
  }
  if (!r.at_end()) return malformed<ToSupervisor>();
  return message;
}

}  // namespace bulkhead::shim
