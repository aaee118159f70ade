// egress-load: the client of `./dev bench egress`. It lives as long as the run does, so that nothing of a start is
// measured: a line on stdin is a job, it says {"ready":true} when everything is set up and warm, waits for a line, and
// says what came of it. It is one thread but for new connections, so that it costs little beside what it measures.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "job.h"

namespace load {

Job parse_job(const std::string& line) {
  std::map<std::string, std::string> words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw Failed("not a word of a job: " + word);
    words[word.substr(0, equals)] = word.substr(equals + 1);
  }
  Job job{.what = words["what"],
          .place = {words["host"], words["port"], words["to"], words["via"], words["http"] == "2"},
          .path = words["path"],
          .header = {},
          .ca = words["ca"],
          .count = std::stoul(words["count"]),
          .up = std::stoul(words["up"]),
          .expect = std::stoul(words["expect"]),
          .seconds = std::stod(words["seconds"])};
  // The token is in the environment of whoever may have it.
  if (const char* token = words["token"].empty() ? nullptr : std::getenv(words["token"].c_str())) {
    job.header = "x-api-key: " + std::string(token);
  }
  return job;
}

namespace {

float at(std::vector<float>& sorted, double part) {
  return sorted.empty()
             ? 0
             : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

void say(Tally tally) {
  std::ranges::sort(tally.us);
  std::printf("{\"done\":%zu,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", tally.us.size(), tally.seconds,
              static_cast<double>(at(tally.us, 0.5)), static_cast<double>(at(tally.us, 0.99)));
}

void serve(const std::string& line) {
  const Job job = parse_job(line);
  const Context context = make_context(job.ca);
  const Ready ready = [] {
    std::puts("{\"ready\":true}");
    std::fflush(stdout);
    std::string word;
    if (!std::getline(std::cin, word)) std::exit(0);
  };
  if (job.what == "keep") return say((job.place.h2 ? keep_alive_h2 : keep_alive)(context.get(), job, ready));
  if (job.what == "new") return say(new_connections(context.get(), job, ready));
  if (job.what == "ticks") return say(ticks(context.get(), job, ready));
  if (job.what == "idle") return say(idle(context.get(), job, ready));
  throw Failed("no such job: " + job.what);
}

}  // namespace
}  // namespace load

int main() {
  ::signal(SIGPIPE, SIG_IGN);
  for (std::string line; std::getline(std::cin, line);) {
    try {
      load::serve(line);
    } catch (const std::exception& error) {
      std::string text = error.what();
      std::erase_if(text, [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
      std::printf("{\"error\":\"%s\"}\n", text.c_str());
    }
    std::fflush(stdout);
  }
}
