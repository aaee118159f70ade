#include "trace/decode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "trace/points.pb.h"

namespace bulkhead::trace {
namespace {

struct Header {
  std::uint16_t size;
  std::uint16_t kind;
  std::uint32_t unsent;
};
static_assert(sizeof(Header) == 8);

// gVisor's MessageType.
enum Kind : std::uint16_t { clone = 2, exec = 3, exit = 4, call = 6, open = 7, connect = 10 };

tl::unexpected<Error> nonsense(const char* what) {
  return fail(std::string("gVisor said something that makes no sense (") + what + ")");
}

bool is_pid(int number) {
  return number > 0 && number <= max_pid;
}

Result<Who> who(const points::Context& context) {
  if (!is_pid(context.thread_group_id()) || !is_pid(context.thread_id())) return nonsense("process id");
  return Who{context.thread_group_id(), context.thread_id()};
}

Result<int> error_of(const points::Outcome& outcome) {
  constexpr int most = 4095;  // MAX_ERRNO
  if (outcome.error() < 0 || outcome.error() > most) return nonsense("errno");
  return static_cast<int>(outcome.error());
}

template <class Message>
Result<Message> parse(std::string_view body) {
  Message message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size()))) return nonsense("no such message");
  return message;
}

Result<std::optional<Happened>> began(const points::Clone& message) {
  BH_TRY(const Who by, who(message.context()));
  if (!is_pid(message.created_thread_id()) || !is_pid(message.created_thread_group_id())) {
    return nonsense("process id");
  }
  if (message.created_thread_id() != message.created_thread_group_id()) return std::nullopt;  // a thread
  return Began{by, message.created_thread_id()};
}

Result<std::optional<Happened>> executed(const points::Exec& message) {
  Executed out;
  BH_TRY(out.by, who(message.context()));
  out.path = message.path().substr(0, max_path);
  out.cut = out.path.size() != message.path().size();
  std::size_t left = max_argument_bytes;
  for (const std::string& argument : message.arguments()) {
    if (out.arguments.size() == max_arguments || left == 0) {
      out.cut = true;
      break;
    }
    out.arguments.push_back(argument.substr(0, std::min(max_argument, left)));
    left -= out.arguments.back().size();
    out.cut = out.cut || out.arguments.back().size() != argument.size();
  }
  return out;
}

Result<std::optional<Happened>> ended(const points::Exit& message) {
  BH_TRY(const Who by, who(message.context()));
  if (message.status() < 0 || message.status() > 0xffff) return nonsense("exit status");
  return Ended{by.pid, message.status()};
}

Result<std::optional<Happened>> called(const points::Call& message) {
  if (!message.has_outcome()) return std::nullopt;  // it begins
  BH_TRY(const Who by, who(message.context()));
  BH_TRY(const int error, error_of(message.outcome()));
  if (error != 0 || (message.number() != SYS_execve && message.number() != SYS_execveat)) return std::nullopt;
  return Runs{by};
}

Result<std::optional<Happened>> opened(const points::Open& message) {
  Opened out;
  BH_TRY(out.by, who(message.context()));
  BH_TRY(out.error, error_of(message.outcome()));
  out.flags = message.flags();
  if (!changes_files(out.flags)) return std::nullopt;
  out.path = message.path().substr(0, max_path);
  out.cut = out.path.size() != message.path().size();
  if (!out.path.starts_with('/')) {
    const std::string& folder = message.folder().empty() ? message.context().cwd() : message.folder();
    out.cut = out.cut || folder.size() > max_path;
    if (!folder.empty()) out.path = folder.substr(0, max_path) + (folder.ends_with('/') ? "" : "/") + out.path;
  }
  return out;
}

Result<std::optional<Happened>> connected(const points::Connect& message) {
  BH_TRY(const Who by, who(message.context()));
  BH_TRY(const int error, error_of(message.outcome()));
  auto out = connection(message.address());
  if (!out) return std::nullopt;
  out->by = by;
  out->error = error;
  return std::move(*out);
}

Result<std::optional<Happened>> decode_body(std::uint16_t kind, std::string_view body) {
  switch (kind) {
    case Kind::clone: {
      BH_TRY(const auto message, parse<points::Clone>(body));
      return began(message);
    }
    case Kind::exec: {
      BH_TRY(const auto message, parse<points::Exec>(body));
      return executed(message);
    }
    case Kind::exit: {
      BH_TRY(const auto message, parse<points::Exit>(body));
      return ended(message);
    }
    case Kind::call: {
      BH_TRY(const auto message, parse<points::Call>(body));
      return called(message);
    }
    case Kind::open: {
      BH_TRY(const auto message, parse<points::Open>(body));
      return opened(message);
    }
    case Kind::connect: {
      BH_TRY(const auto message, parse<points::Connect>(body));
      return connected(message);
    }
    default:
      return nonsense("it was not asked for this");
  }
}

}  // namespace

Result<Told> decode(std::string_view datagram) {
  Header header{};
  if (datagram.size() < sizeof header || datagram.size() > max_datagram) return nonsense("its length");
  std::memcpy(&header, datagram.data(), sizeof header);
  if (header.size < sizeof header || header.size > datagram.size()) return nonsense("its header");
  Told told;
  told.unsent = header.unsent;
  BH_TRY(told.what, decode_body(header.kind, datagram.substr(header.size)));
  return told;
}

bool changes_files(std::uint32_t flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
  return writes && (flags & O_PATH) == 0;
}

std::optional<Connected> connection(std::string_view address) {
  Connected out;
  sockaddr_storage storage{};
  const std::size_t size = std::min(address.size(), sizeof storage);
  std::memcpy(&storage, address.data(), size);
  if (size < sizeof storage.ss_family) return std::nullopt;  // refused by the call itself
  char text[INET6_ADDRSTRLEN];
  if (storage.ss_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    out.family = "inet";
    out.address = ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    out.port = ntohs(in.sin_port);
  } else if (storage.ss_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof in);
    out.family = "inet6";
    out.address = ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    out.port = ntohs(in.sin6_port);
  } else if (storage.ss_family == AF_UNIX && size > offsetof(sockaddr_un, sun_path)) {
    out.family = "unix";
    out.address = std::string(address.substr(offsetof(sockaddr_un, sun_path), sizeof(sockaddr_un::sun_path)));
    const bool abstract = out.address.front() == '\0';
    if (abstract) {
      out.address.front() = '@';
    } else {
      out.address.resize(std::min(out.address.find('\0'), out.address.size()));
    }
  } else {
    return std::nullopt;
  }
  return out;
}

Result<void> check_greeting(std::string_view datagram) {
  BH_TRY(const auto message, parse<points::Handshake>(datagram));
  if (message.version() < version) return nonsense("the version of its protocol");
  return {};
}

std::string greeting() {
  points::Handshake message;
  message.set_version(version);
  return message.SerializeAsString();
}

}  // namespace bulkhead::trace
