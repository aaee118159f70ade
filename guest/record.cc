#include "guest/record.h"

#include <algorithm>

#include "guest/bytes.h"

namespace bulkhead::shim::record {
namespace {

constexpr std::size_t head = 4;

void write(Writer& w, const Who& who) {
  w.number(who.pid);
  w.number(who.thread);
}

Who who(Reader& r) {
  Who out;
  out.pid = r.number();
  out.thread = r.number();
  return out;
}

struct Encoder {
  Writer& w;
  std::uint32_t unsent;

  void begin(char kind) const {
    w.out.push_back(kind);
    w.number(unsent);
  }
  void operator()(const Hello& hello) const {
    begin('H');
    w.number(hello.version);
  }
  void operator()(const Forked& forked) const {
    begin('F');
    write(w, forked.by);
    w.number(forked.pid);
  }
  void operator()(const Executed& executed) const {
    begin('X');
    write(w, executed.by);
    w.string(std::string_view(executed.path).substr(0, max_path));
    w.number(executed.cut ? 1 : 0, 1);
    std::vector<std::string> words;
    std::size_t left = max_argument_bytes;
    for (const std::string& word : executed.arguments) {
      if (words.size() == max_arguments) break;
      words.push_back(word.substr(0, std::min(max_argument, left)));
      left -= words.back().size();
    }
    w.strings(words);
  }
  void operator()(const Runs& runs) const {
    begin('R');
    write(w, runs.by);
  }
  void operator()(const Ended& ended) const {
    begin('E');
    w.number(ended.pid);
    w.number(ended.status);
  }
  void operator()(const Opening& opening) const {
    begin('O');
    write(w, opening.by);
    w.string(std::string_view(opening.path).substr(0, max_path));
    w.number(opening.flags);
    w.number(opening.cut ? 1 : 0, 1);
  }
  void operator()(const Connecting& connecting) const {
    begin('C');
    write(w, connecting.by);
    const std::string_view address = std::string_view(connecting.address).substr(0, max_address);
    w.number(address.size(), 1);
    w.out += address;
  }
  void operator()(const Done&) const { begin('D'); }
};

tl::unexpected<Error> nonsense() {
  return fail("the machine's record makes no sense");
}

bool is_bounded(const Happened& what) {
  if (const auto* opening = std::get_if<Opening>(&what)) return opening->path.size() <= max_path;
  if (const auto* connecting = std::get_if<Connecting>(&what)) return connecting->address.size() <= max_address;
  const auto* executed = std::get_if<Executed>(&what);
  if (executed == nullptr) return true;
  std::size_t bytes = 0;
  for (const std::string& word : executed->arguments) {
    if (word.size() > max_argument) return false;
    bytes += word.size();
  }
  return executed->path.size() <= max_path && executed->arguments.size() <= max_arguments &&
         bytes <= max_argument_bytes;
}

Executed executed(Reader& r) {
  Executed out;
  out.by = who(r);
  out.path = r.string();
  out.cut = r.boolean();
  out.arguments = r.strings();
  return out;
}

Opening opening(Reader& r) {
  Opening out;
  out.by = who(r);
  out.path = r.string();
  out.flags = r.number();
  out.cut = r.boolean();
  return out;
}

Connecting connecting(Reader& r) {
  Connecting out;
  out.by = who(r);
  out.address = r.bytes(static_cast<std::size_t>(r.wide(1)));
  return out;
}

}  // namespace

std::string encode(const Said& said) {
  Writer w;
  w.number(0);
  std::visit(Encoder{w, said.unsent}, said.what);
  Writer size;
  size.number(w.out.size() - head);
  w.out.replace(0, head, size.out);
  return std::move(w.out);
}

Result<Said> decode(std::string_view body) {
  if (body.empty() || body.size() > max_record) return nonsense();
  Reader r(body.substr(1));
  Said out;
  out.unsent = r.number();
  switch (body.front()) {
    case 'H':
      out.what = Hello{r.number()};
      break;
    case 'F': {
      Forked forked;
      forked.by = who(r);
      forked.pid = r.number();
      out.what = forked;
      break;
    }
    case 'X':
      out.what = executed(r);
      break;
    case 'R':
      out.what = Runs{who(r)};
      break;
    case 'E': {
      Ended ended;
      ended.pid = r.number();
      ended.status = r.number();
      out.what = ended;
      break;
    }
    case 'O':
      out.what = opening(r);
      break;
    case 'C':
      out.what = connecting(r);
      break;
    case 'D':
      out.what = Done{};
      break;
    default:
      return nonsense();
  }
  if (!r.at_end() || !is_bounded(out.what)) return nonsense();
  return out;
}

Result<std::optional<std::string_view>> next_frame(std::string_view& bytes) {
  if (bytes.size() < head) return std::nullopt;
  const std::uint32_t size = Reader(bytes.substr(0, head)).number();
  if (size == 0 || size > max_record) return nonsense();
  if (bytes.size() < head + size) return std::nullopt;
  const std::string_view body = bytes.substr(head, size);
  bytes.remove_prefix(head + size);
  return body;
}

}  // namespace bulkhead::shim::record
