// For the tests: reads a message whole and byte by byte, and insists that both give the same.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "gateway/http/http.h"

namespace bulkhead::http {

template <class Head>
struct Reading {
  std::optional<Refusal> refusal;
  State state = State::head;
  Head head;
  std::string body;
  std::size_t used = 0;
};

template <class Head, class Reader>
Reading<Head> read_in_steps(Reader reader, std::string_view bytes, std::size_t step) {
  Reading<Head> reading;
  while (reading.used < bytes.size() && reader.state() != State::done) {
    const auto taken = reader.feed(bytes.substr(reading.used, step), reading.body);
    if (!taken) {
      reading.refusal = taken.error();
      std::string ignored;
      EXPECT_FALSE(reader.feed("x", ignored)) << "a refused reader went on";
      break;
    }
    EXPECT_GT(*taken, 0u);
    if (*taken == 0) break;
    reading.used += *taken;
  }
  reading.state = reader.state();
  if (reading.state != State::head) reading.head = reader.head();
  return reading;
}

inline void expect_same(const RequestHead& a, const RequestHead& b) {
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.target, b.target);
  EXPECT_EQ(a.host, b.host);
  EXPECT_EQ(a.headers, b.headers);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.body_length, b.body_length);
  EXPECT_EQ(a.keep_alive, b.keep_alive);
  EXPECT_EQ(a.expect_continue, b.expect_continue);
}

inline void expect_same(const ResponseHead& a, const ResponseHead& b) {
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.headers, b.headers);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.body_length, b.body_length);
  EXPECT_EQ(a.keep_alive, b.keep_alive);
  EXPECT_EQ(a.until_close, b.until_close);
}

template <class Head, class MakeReader>
Reading<Head> read_every_way(const MakeReader& make, std::string_view bytes) {
  Reading<Head> whole = read_in_steps<Head>(make(), bytes, bytes.size() + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
    const Reading<Head> cut = read_in_steps<Head>(make(), bytes, step);
    EXPECT_EQ(whole.refusal.has_value(), cut.refusal.has_value()) << "in steps of " << step;
    if (whole.refusal && cut.refusal) {
      EXPECT_EQ(whole.refusal->reason, cut.refusal->reason) << "in steps of " << step;
      EXPECT_EQ(whole.refusal->status, cut.refusal->status) << "in steps of " << step;
    }
    EXPECT_EQ(whole.state, cut.state);
    EXPECT_EQ(whole.body, cut.body);
    if (!whole.refusal) EXPECT_EQ(whole.used, cut.used);
    expect_same(whole.head, cut.head);
  }
  return whole;
}

inline Reading<RequestHead> read_request(std::string_view bytes, Limits limits = {}) {
  return read_every_way<RequestHead>([&] { return RequestReader(limits); }, bytes);
}
inline Reading<ResponseHead> read_response(std::string_view bytes, std::string_view method = "GET") {
  return read_every_way<ResponseHead>([&] { return ResponseReader(method); }, bytes);
}

}  // namespace bulkhead::http
