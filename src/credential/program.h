// Programs that print a secret on their standard output.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "credential/secret.h"

namespace bulkhead {

struct SecretProgram {
  std::string path;  // executed as it is
  std::vector<std::string> arguments;
  std::vector<const char*> environment;  // NUL-terminated entries
  std::string shown;                     // in messages: `command "pass show x"`
  std::chrono::milliseconds timeout{30'000};
  bool quiet = false;  // its complaints go into the error instead of to the terminal
};

struct Printed {
  int status = 0;  // as a shell would report it
  SecretBuffer text;
  std::string complaint;  // the first line, when quiet
};

// Runs it to its end. An error: it could not be run, printed more than max_source_read, or took too long; then it and
// what it started (in its process group) are killed.
Result<Printed> run_secret_program(const SecretProgram& program);

// The program of that name on the PATH of `environment`, or empty.
std::string find_program(const std::string& name, const std::vector<const char*>& environment);

}  // namespace bulkhead
