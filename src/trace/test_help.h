// Datagrams as gVisor sends them, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/points.pb.h"

namespace bulkhead::trace {

inline std::string with_header(std::uint16_t kind, const std::string& body, std::uint32_t unsent = 0) {
  const std::uint16_t head[] = {8, kind};
  std::string out(reinterpret_cast<const char*>(head), sizeof head);
  out.append(reinterpret_cast<const char*>(&unsent), sizeof unsent);
  return out + body;
}

template <class Message>
Message by(int pid, int thread = 0) {
  Message out;
  out.mutable_context()->set_thread_group_id(pid);
  out.mutable_context()->set_thread_id(thread == 0 ? pid : thread);
  return out;
}

inline std::string clone_of(int pid, int made, int group = 0) {
  auto out = by<points::Clone>(pid);
  out.set_created_thread_id(made);
  out.set_created_thread_group_id(group == 0 ? made : group);
  return with_header(2, out.SerializeAsString());
}

inline std::string exec_of(int pid, const std::string& path, const std::vector<std::string>& arguments) {
  auto out = by<points::Exec>(pid);
  out.set_path(path);
  for (const std::string& argument : arguments) out.add_arguments(argument);
  return with_header(3, out.SerializeAsString());
}

inline std::string exit_of(int pid, int status) {
  auto out = by<points::Exit>(pid);
  out.set_status(status);
  return with_header(4, out.SerializeAsString());
}

inline std::string call_of(int pid, std::uint64_t number, int error = 0) {
  auto out = by<points::Call>(pid);
  out.set_number(number);
  out.mutable_outcome()->set_error(error);
  return with_header(6, out.SerializeAsString());
}

inline std::string open_of(int pid, const std::string& path, std::uint32_t flags, const std::string& folder = "",
                           const std::string& cwd = "") {
  auto out = by<points::Open>(pid);
  out.set_path(path);
  out.set_flags(flags);
  out.set_folder(folder);
  out.mutable_context()->set_cwd(cwd);
  return with_header(7, out.SerializeAsString());
}

inline std::string connect_of(int pid, const std::string& address) {
  auto out = by<points::Connect>(pid);
  out.set_address(address);
  return with_header(10, out.SerializeAsString());
}

}  // namespace bulkhead::trace
