// What every victim shares. A victim tries one attack and says how it went: exit 0 = the attack worked,
// 10 = it was refused, anything else = the test itself is broken. One line on stdout says the details.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

[[noreturn]] inline void finish(int status, const char* word, const std::string& detail) {
  std::printf("%s: %s\n", word, detail.c_str());
  std::fflush(stdout);
  std::_Exit(status);
}
[[noreturn]] inline void worked(const std::string& detail) {
  finish(0, "worked", detail);
}
[[noreturn]] inline void refused(const std::string& what) {
  finish(10, "refused", what);
}
// Refused with the reason in errno.
[[noreturn]] inline void refused_errno(const std::string& what) {
  const int error = errno;
  finish(10, "refused", what + ": " + std::strerror(error));
}
[[noreturn]] inline void broken(const std::string& what) {
  finish(99, "broken", what);
}

// For attacks that are one system call: a result below 0 is the refusal.
[[noreturn]] inline void judge(long result, const std::string& what) {
  if (result < 0) refused_errno(what);
  worked(what);
}

// The name of the attempt (argv[1]) and its arguments.
inline std::string argument(int argc, char** argv, int index) {
  if (index >= argc) broken("argument " + std::to_string(index) + " is missing");
  return argv[index];
}
