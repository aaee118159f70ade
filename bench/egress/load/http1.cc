#include "http1.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

namespace load {
namespace {

constexpr std::chrono::milliseconds warm_up{150};

float us_since(Clock::time_point start) {
  return std::chrono::duration<float, std::micro>(Clock::now() - start).count();
}

// One connection that asks, waits for the whole answer and asks again.
class Asking {
 public:
  Asking(SSL_CTX* context, const Job& job, std::string_view request)
      : link_(context, job.place), request_(request), expect_(job.expect) {}
  Link& link() { return link_; }

  void ask() {
    start_ = Clock::now();
    left_ = request_;
    answer_ = {};
    push();
  }
  // Moves what can be moved. True: the answer is there.
  bool move(std::span<char> buffer) {
    push();
    for (;;) {
      const std::size_t n = link_.read(buffer.data(), buffer.size());
      if (n == 0) return false;
      if (answer_.feed({buffer.data(), n}, expect_)) return true;
    }
  }
  bool writing() const { return !left_.empty(); }
  float us() const { return us_since(start_); }

 private:
  void push() {
    while (!left_.empty()) {
      const std::size_t n = link_.write(left_);
      if (n == 0) return;
      left_.remove_prefix(n);
    }
  }

  Link link_;
  std::string_view request_, left_;
  std::size_t expect_;
  Answer answer_;
  Clock::time_point start_;
};

// Blocking, from the first byte of a request to the last of its answer.
void ask_once(Link& link, std::string_view request, std::size_t expect) {
  for (std::string_view left = request; !left.empty();) left.remove_prefix(link.write(left));
  Answer answer;
  std::array<char, 16384> buffer;
  while (!answer.feed({buffer.data(), link.read(buffer.data(), buffer.size())}, expect)) {
  }
}

std::string whole_request(const Job& job) {
  return request_head(job) + std::string(job.up, 'x');
}

}  // namespace

std::string request_head(const Job& job) {
  std::string head = (job.up > 0 ? "POST " : "GET ") + job.path + " HTTP/1.1\r\nHost: " + job.place.host + ":" +
                     job.place.port + "\r\nUser-Agent: load\r\nAccept: */*\r\n";
  if (!job.header.empty()) head += job.header + "\r\n";
  if (job.up > 0) {
    head += "Content-Type: application/octet-stream\r\nContent-Length: " + std::to_string(job.up) + "\r\n";
  }
  return head + "\r\n";
}

Tally keep_alive(SSL_CTX* context, const Job& job, const Ready& ready) {
  const std::string request = whole_request(job);
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  const std::unique_ptr<const int, void (*)(const int*)> closer(&poll, [](const int* fd) { ::close(*fd); });
  std::vector<std::unique_ptr<Asking>> all;
  std::vector<char> buffer(256 * 1024);
  for (std::size_t n = 0; n < job.count; ++n) {
    all.push_back(std::make_unique<Asking>(context, job, request));
    ask_once(all.back()->link(), request, job.expect);
    all.back()->link().set_nonblocking();
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = all.back().get()}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, all.back()->link().fd(), &event);
  }
  Tally tally;
  std::array<epoll_event, 64> events;
  const auto run = [&](std::chrono::duration<double> time) {
    const auto begin = Clock::now();
    tally.us.clear();
    std::size_t busy = all.size();
    for (const auto& each : all) each->ask();
    while (busy > 0) {
      const int n = ::epoll_wait(poll, events.data(), events.size(), 30'000);
      if (n <= 0) throw Failed("nothing moved for 30 s");
      for (int i = 0; i < n; ++i) {
        Asking& one = *static_cast<Asking*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (!one.move(buffer)) continue;
        tally.us.push_back(one.us());
        if (Clock::now() - begin < time) {
          one.ask();
        } else {
          --busy;
        }
      }
    }
    tally.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  };
  run(warm_up);
  ready();
  run(std::chrono::duration<double>(job.seconds));
  return tally;
}

Tally new_connections(SSL_CTX* context, const Job& job, const Ready& ready) {
  const std::string request = whole_request(job);
  const auto once = [&] {
    Link link(context, job.place);
    ask_once(link, request, job.expect);
  };
  once();
  ready();
  Tally tally;
  std::mutex mutex;
  std::string failure;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(job.seconds);
  std::vector<std::jthread> threads;
  for (std::size_t n = 0; n < job.count; ++n) {
    threads.emplace_back([&] {
      try {
        while (Clock::now() < end) {
          const auto start = Clock::now();
          once();
          const float us = us_since(start);
          const std::lock_guard lock(mutex);
          tally.us.push_back(us);
        }
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        failure = error.what();
      }
    });
  }
  threads.clear();
  if (!failure.empty()) throw Failed(failure);
  tally.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return tally;
}

// Each event says when it was written (CLOCK_MONOTONIC, ns): one machine, one clock.
Tally ticks(SSL_CTX* context, const Job& job, const Ready& ready) {
  Link link(context, job.place);
  const std::string request = request_head(job);
  for (std::string_view left = request; !left.empty();) left.remove_prefix(link.write(left));
  Tally tally;
  std::string text;
  std::array<char, 16384> buffer;
  bool counting = false;
  Clock::time_point begin = Clock::now();
  for (;;) {
    const std::size_t n = link.read(buffer.data(), buffer.size());
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    text.append(buffer.data(), n);
    if (text.starts_with("HTTP/1.1 ") && !text.starts_with("HTTP/1.1 200 ")) {
      throw Failed("answer: " + text.substr(0, text.find('\r')));
    }
    const double seen = static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
    for (std::size_t at; (at = text.find("data: ")) != std::string::npos;) {
      const std::size_t end = text.find('\n', at);
      if (end == std::string::npos) break;
      const double sent = static_cast<double>(std::stoll(text.substr(at + 6, end - at - 6))) / 1e3;
      if (counting) tally.us.push_back(static_cast<float>(seen - sent));
      text.erase(0, end + 1);
    }
    const std::chrono::duration<double> passed = Clock::now() - begin;
    if (!counting && passed > warm_up) {
      ready();
      counting = true;
      begin = Clock::now();
    } else if (counting && passed.count() > job.seconds) {
      tally.seconds = passed.count();
      return tally;
    }
  }
}

Tally idle(SSL_CTX* context, const Job& job, const Ready& ready) {
  const std::string request = whole_request(job);
  std::vector<std::unique_ptr<Link>> links;
  Tally tally;
  for (std::size_t n = 0; n < job.count; ++n) {
    const auto start = Clock::now();
    links.push_back(std::make_unique<Link>(context, job.place));
    ask_once(*links.back(), request, job.expect);
    tally.us.push_back(us_since(start));
  }
  ready();
  return tally;
}

}  // namespace load
