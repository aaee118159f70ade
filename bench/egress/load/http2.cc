// One connection with Job::count streams at once, each asking again when its answer is there.
#include <nghttp2/nghttp2.h>
#include <poll.h>

#include <array>
#include <span>

#include "job.h"

namespace load {
namespace {

constexpr std::chrono::milliseconds warm_up{150};
constexpr std::int32_t window = 1 << 24;  // flow control is not what is measured

nghttp2_nv field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

struct Ask {
  Clock::time_point start;
  std::size_t got = 0, put = 0;
  bool good = false;
};

class Client {
 public:
  Client(SSL_CTX* context, const Job& job) : job_(job), link_(context, job.place) {
    authority_ = job.place.host + ":" + job.place.port;
    length_ = std::to_string(job.up);
    if (!job.header.empty()) {
      const std::size_t colon = job.header.find(": ");
      name_ = job.header.substr(0, colon);
      value_ = job.header.substr(colon + 2);
    }
    nghttp2_session_callbacks* callbacks = nullptr;
    check(::nghttp2_session_callbacks_new(&callbacks), "nghttp2");
    ::nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    check(::nghttp2_session_client_new(&session_, callbacks, this), "nghttp2");
    ::nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    check(::nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &settings, 1), "settings");
    check(::nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, window), "window");
    link_.set_nonblocking();
  }
  ~Client() { ::nghttp2_session_del(session_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void run(std::chrono::duration<double> time, Tally& tally) {
    tally.us.clear();
    tally_ = &tally;
    const auto begin = Clock::now();
    end_ = begin + std::chrono::duration_cast<Clock::duration>(time);
    busy_ = 0;
    for (std::size_t n = 0; n < job_.count; ++n) ask();
    while (busy_ > 0) move();
    tally.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }

 private:
  void check(ssize_t result, const char* what) const {
    if (!failure_.empty()) throw Failed(failure_);
    if (result < 0) throw Failed(std::string(what) + ": " + ::nghttp2_strerror(static_cast<int>(result)));
  }

  void ask() {
    auto* one = new Ask{Clock::now()};
    std::vector<nghttp2_nv> fields{field(":method", job_.up > 0 ? "POST" : "GET"),
                                   field(":scheme", "https"),
                                   field(":authority", authority_),
                                   field(":path", job_.path),
                                   field("user-agent", "load"),
                                   field("accept", "*/*")};
    if (!name_.empty()) fields.push_back(field(name_, value_));
    if (job_.up > 0) {
      fields.push_back(field("content-type", "application/octet-stream"));
      fields.push_back(field("content-length", length_));
    }
    nghttp2_data_provider body{.source = {.ptr = one}, .read_callback = give};
    check(::nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), job_.up > 0 ? &body : nullptr, one),
          "request");
    ++busy_;
  }

  void move() {
    // Out: what the session has, gathered, as far as the socket takes it.
    for (;;) {
      while (out_.size() < 128 * 1024) {
        const std::uint8_t* bytes = nullptr;
        const ssize_t n = ::nghttp2_session_mem_send(session_, &bytes);
        check(n, "send");
        if (n == 0) break;
        out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
      }
      if (out_.empty()) break;
      const std::size_t n = link_.write(out_);
      if (n == 0) break;
      out_.erase(0, n);
    }
    for (;;) {
      const std::size_t n = link_.read(buffer_.data(), buffer_.size());
      if (n == 0) break;
      check(::nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(buffer_.data()), n), "receive");
      if (::nghttp2_session_want_write(session_) != 0) return;
    }
    if (busy_ == 0 || (out_.empty() && ::nghttp2_session_want_write(session_) != 0)) return;
    pollfd wait{link_.fd(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
    if (::poll(&wait, 1, 30'000) <= 0) throw Failed("nothing moved for 30 s");
  }

  static ssize_t give(nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t size, std::uint32_t* flags,
                      nghttp2_data_source* source, void* user) {
    Ask& one = *static_cast<Ask*>(source->ptr);
    const std::size_t up = static_cast<Client*>(user)->job_.up;
    const std::size_t n = std::min(size, up - one.put);
    std::fill_n(into, n, std::uint8_t{'x'});
    one.put += n;
    if (one.put == up) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
  static Ask* of(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Ask*>(::nghttp2_session_get_stream_user_data(session, stream));
  }
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t size, std::uint8_t, void*) {
    Ask* one = of(session, frame->hd.stream_id);
    const auto text = [](const std::uint8_t* bytes, std::size_t n) {
      return std::string_view(reinterpret_cast<const char*>(bytes), n);
    };
    if (one != nullptr && text(name, name_size) == ":status") one->good = text(value, size) == "200";
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream, const std::uint8_t*, std::size_t size,
                     void*) {
    if (Ask* one = of(session, stream)) one->got += size;
    return 0;
  }
  static int on_close(nghttp2_session* session, std::int32_t stream, std::uint32_t code, void* user) {
    auto& self = *static_cast<Client*>(user);
    const std::unique_ptr<Ask> one(of(session, stream));
    if (!one) return 0;
    if (!one->good || code != 0 || one->got != self.job_.expect) {
      self.failure_ = "answer: not 200, cut off, or of another size (" + std::to_string(one->got) + " bytes)";
      return NGHTTP2_ERR_CALLBACK_FAILURE;  // no exception goes through a C library
    }
    const auto now = Clock::now();
    self.tally_->us.push_back(std::chrono::duration<float, std::micro>(now - one->start).count());
    --self.busy_;
    if (now < self.end_) self.ask();
    return 0;
  }

  const Job& job_;
  Link link_;
  std::string authority_, length_, name_, value_, out_, failure_;
  std::array<char, 64 * 1024> buffer_;
  nghttp2_session* session_ = nullptr;
  std::size_t busy_ = 0;
  Clock::time_point end_;
  Tally* tally_ = nullptr;
};

}  // namespace

Tally keep_alive_h2(SSL_CTX* context, const Job& job, const Ready& ready) {
  const auto client = std::make_unique<Client>(context, job);
  Tally tally;
  client->run(warm_up, tally);
  ready();
  client->run(std::chrono::duration<double>(job.seconds), tally);
  return tally;
}

}  // namespace load
