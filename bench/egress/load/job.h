// What the driver asks for, and what comes of it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "link.h"

namespace load {

using Clock = std::chrono::steady_clock;

struct Job {
  std::string what;  // keep: requests on open connections | new: a connection each | ticks: a stream | idle
  Place place;
  std::string path, header;  // header: a whole line, or empty
  std::string ca;
  std::size_t count = 1;   // connections (HTTP/2: streams of one connection)
  std::size_t up = 0;      // bytes of the request's body
  std::size_t expect = 0;  // bytes of the answer's
  double seconds = 1;
};
// "what=keep host=… port=…"; throws Failed.
Job parse_job(const std::string& line);

struct Tally {
  std::vector<float> us;  // of each request, or of each event of a stream
  double seconds = 0;
  bool stopping = false;  // time is up: no new requests
};

// Everything is set up and warm: tells the driver, waits for its word, starts the clock. `run` goes on for
// Job::seconds from then.
using Ready = std::function<void()>;

Tally keep_alive(SSL_CTX* context, const Job& job, const Ready& ready);
Tally keep_alive_h2(SSL_CTX* context, const Job& job, const Ready& ready);
Tally new_connections(SSL_CTX* context, const Job& job, const Ready& ready);
Tally ticks(SSL_CTX* context, const Job& job, const Ready& ready);
// Opens Job::count connections with one request each and holds them until `ready` returns.
Tally idle(SSL_CTX* context, const Job& job, const Ready& ready);

}  // namespace load
