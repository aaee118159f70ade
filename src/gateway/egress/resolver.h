// Names -> addresses, by c-ares: a static program has no getaddrinfo(3), and confined it has no files either.
// Only the servers it was given are asked, only for A and AAAA of exactly this name: no search list, no hosts file,
// no aliases. Nothing is cached: an answer is used for the one connection it was asked for.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::egress {

class Resolver {
 public:
  // `servers`: "ADDRESS[:PORT]" ("[v6]:PORT"), at least one. Reads /dev/urandom for query ids: call before confine().
  static Result<std::unique_ptr<Resolver>> create(boost::asio::io_context& io, const std::vector<std::string>& servers,
                                                  std::chrono::milliseconds timeout);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Never empty; IPv4 first (a host without IPv6 is still the common case, and a dead family costs seconds).
  // The error is one line for people. Error::code is ETIMEDOUT when nobody answered.
  boost::asio::awaitable<Result<std::vector<boost::asio::ip::address>>> resolve(std::string host);

 private:
  struct Impl;
  explicit Resolver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::egress
