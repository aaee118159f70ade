// The event loop's vocabulary: one thread, coroutines, and sockets as plain non-blocking descriptors that Asio only
// waits for. We make the system calls ourselves: OpenSSL then works on the socket directly (no copies through
// memory BIOs), and every kind of socket is the same type.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/fd.h"

namespace bulkhead::front {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T = void>
using Task = asio::awaitable<T, Executor>;
using Clock = std::chrono::steady_clock;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
using Wait = asio::posix::descriptor_base;

// The result comes as an error code, never as an exception: a closed socket is nothing exceptional here.
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> no_throw{};

}  // namespace bulkhead::front
