// Everything front bounds, in one place. Tests bring their own.
#pragma once

#include <chrono>
#include <cstddef>

#include "gateway/front/names.h"
#include "gateway/http/h2_gate.h"
#include "gateway/http/http.h"
#include "gateway/tls/leaves.h"

namespace bulkhead::front {

struct Limits {
  std::size_t connections = 4096;  // open at once, all listeners together; more wait in the backlog

  std::chrono::milliseconds handshake{10'000};  // the whole TLS handshake
  std::chrono::milliseconds head{30'000};       // from a request's first byte to the end of its head
  std::chrono::milliseconds idle{120'000};      // between requests
  std::chrono::milliseconds body{60'000};       // without a byte of a body that is on its way up
  std::chrono::milliseconds write{120'000};     // without the client taking a byte
  std::chrono::milliseconds close{10'000};      // of a WebSocket: from one side's close frame to the other's
  std::chrono::milliseconds cut{500};           // of a WebSocket that is taken back: for the client to hear why
  std::chrono::milliseconds linger{2'000};      // reading on after the last answer, so that it arrives
  std::chrono::milliseconds tick{100};          // how often deadlines are looked at

  std::size_t linger_bytes = 16 * 1024 * 1024;
  std::size_t lanes = 1024;     // open at once, per egress
  std::size_t idle_lanes = 64;  // kept for reuse, per egress

  std::size_t denials = 256;  // kinds of denials told apart
  std::chrono::milliseconds denial_interval{100};

  std::size_t questions = 16;                   // requests that wait for an answer
  double questions_per_second = 10;             // … with as many at once; far more than anybody is asked
  std::chrono::milliseconds question{600'000};  // each of them; the supervisor is not that slow

  std::size_t h2_held = 64 * 1024 * 1024;  // bodies of HTTP/2 requests that egress has not taken, all together

  http::Limits http;
  http::H2Limits h2;
  tls::LeafLimits leaves;
  NameLimits names;
};

}  // namespace bulkhead::front
