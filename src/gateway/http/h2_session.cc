// The only file that includes nghttp2.
#include "gateway/http/h2_session.h"

#include <malloc.h>
#include <nghttp2/nghttp2.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

namespace bulkhead::http {
namespace {

// A header list this many times the limit is an attack on the decoder (HPACK bomb), not a large head.
constexpr std::size_t bomb = 16;
// Frames of our own making that the peer has not taken: answers to PING and SETTINGS, resets.
constexpr std::size_t most_queued = 2000;

void* wiping_realloc(void* old, std::size_t size, void*) {
  if (old == nullptr) return ::malloc(size);
  const std::size_t had = ::malloc_usable_size(old);
  void* fresh = ::malloc(size);
  if (fresh == nullptr) return nullptr;
  ::memcpy(fresh, old, std::min(had, size));
  ::explicit_bzero(old, had);
  ::free(old);
  return fresh;
}

void wiping_free(void* old, void*) {
  if (old == nullptr) return;
  ::explicit_bzero(old, ::malloc_usable_size(old));
  ::free(old);
}

nghttp2_nv field(std::string_view name, std::string_view value, bool secret = false) {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));  // it only reads
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          static_cast<std::uint8_t>(secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)};
}

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

void append(std::vector<nghttp2_nv>& out, const lane::Headers& headers, std::string_view secret = {}) {
  for (const auto& [name, value] : headers) out.push_back(field(name, value, !secret.empty() && name == secret));
}

}  // namespace

const char* name_of_h2_code(std::uint32_t code) {
  return ::nghttp2_http2_strerror(code);
}

struct H2Session::Callbacks {
  static H2Session& self(void* opaque) { return *static_cast<H2Session*>(opaque); }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* opaque) {
    if (frame->hd.type == NGHTTP2_HEADERS) self(opaque).building_[frame->hd.stream_id] = {};
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* opaque) {
    H2Session& s = self(opaque);
    Building& building = s.building_[frame->hd.stream_id];
    const Limits& limits = s.options_.head;
    building.size += name_size + value_size + 32;  // RFC 9113 §6.5.2
    if (building.size > bomb * limits.head) {
      s.violated_ = H2Violation{NGHTTP2_ENHANCE_YOUR_CALM, "head-size", "a header list that decodes to a megabyte"};
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (building.size > limits.head + 32 * limits.headers || building.block.fields.size() > limits.headers + 4) {
      building.block.too_large = true;
      building.block.fields.clear();
    }
    if (!building.block.too_large) {
      building.block.fields.emplace_back(view(name, name_size), view(value, value_size));
    }
    return 0;
  }

  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* opaque) {
    H2Session& s = self(opaque);
    const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const std::int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      auto node = s.building_.extract(id);
      if (node) s.handler_.on_block(id, std::move(node.mapped().block), ended);
    } else if (frame->hd.type == NGHTTP2_DATA && ended) {
      s.handler_.on_end(id);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      s.leaving_ = true;
      s.handler_.on_goaway(frame->goaway.last_stream_id);
    }
    return 0;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                  void* opaque) {
    self(opaque).handler_.on_data(id, view(bytes, size));
    return 0;
  }

  static int invalid(nghttp2_session*, const nghttp2_frame* frame, int error, void* opaque) {
    H2Session& s = self(opaque);
    ++s.faults_;
    s.fault_ = ::nghttp2_strerror(error);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    s.building_.erase(frame->hd.stream_id);
    // One too many at once is no malformed one.
    if (error != NGHTTP2_ERR_REFUSED_STREAM) s.handler_.on_malformed(frame->hd.stream_id, s.fault_);
    return 0;
  }

  // An illegal byte in a field: the library would leave the field out and go on.
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                            const std::uint8_t*, std::size_t, std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int closed(nghttp2_session*, std::int32_t id, std::uint32_t code, void* opaque) {
    self(opaque).building_.erase(id);
    self(opaque).handler_.on_closed(id, code);
    return 0;
  }

  static int sent(nghttp2_session*, const nghttp2_frame* frame, void* opaque) {
    H2Session& s = self(opaque);
    const std::uint8_t type = frame->hd.type;
    if (type == NGHTTP2_DATA && frame->hd.length > 0) s.gate_.earn();
    // The library ends a connection by itself for what can't be understood.
    if (type == NGHTTP2_GOAWAY && !s.leaving_ && !s.violated_) {
      s.violated_ = H2Violation{frame->goaway.error_code, "frame",
                                "frames that are no HTTP/2" + (s.fault_.empty() ? "" : ": " + s.fault_)};
    }
    const bool ends = type == NGHTTP2_DATA || type == NGHTTP2_HEADERS;
    if (ends && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) s.handler_.on_sent_end(frame->hd.stream_id);
    return 0;
  }

  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* into, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source*, void* opaque) {
    const H2Supply supply = self(opaque).handler_.on_read(id, std::span(reinterpret_cast<char*>(into), size));
    if (supply.bytes == 0 && supply.wait) return NGHTTP2_ERR_DEFERRED;
    if (supply.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (supply.trailers != nullptr && !supply.trailers->empty()) {
        std::vector<nghttp2_nv> fields;
        append(fields, *supply.trailers);
        if (::nghttp2_submit_trailer(session, id, fields.data(), fields.size()) == 0) {
          *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
      }
    }
    return static_cast<ssize_t>(supply.bytes);
  }
};

H2Session::H2Session(Role role, H2Handler& handler, const Options& options)
    : handler_(handler), options_(options), gate_(role == Role::server, options.limits) {
  nghttp2_session_callbacks* raw_callbacks = nullptr;
  nghttp2_option* raw_option = nullptr;
  if (::nghttp2_session_callbacks_new(&raw_callbacks) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> callbacks(
      raw_callbacks, ::nghttp2_session_callbacks_del);
  if (::nghttp2_option_new(&raw_option) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_option, void (*)(nghttp2_option*)> option(raw_option, ::nghttp2_option_del);

  ::nghttp2_session_callbacks_set_on_begin_headers_callback(raw_callbacks, Callbacks::begin_headers);
  ::nghttp2_session_callbacks_set_on_header_callback(raw_callbacks, Callbacks::header);
  ::nghttp2_session_callbacks_set_on_frame_recv_callback(raw_callbacks, Callbacks::frame);
  ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw_callbacks, Callbacks::data);
  ::nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw_callbacks, Callbacks::invalid);
  ::nghttp2_session_callbacks_set_on_invalid_header_callback(raw_callbacks, Callbacks::invalid_header);
  ::nghttp2_session_callbacks_set_on_stream_close_callback(raw_callbacks, Callbacks::closed);
  ::nghttp2_session_callbacks_set_on_frame_send_callback(raw_callbacks, Callbacks::sent);
  // Windows open as bodies are taken, not as they come.
  ::nghttp2_option_set_no_auto_window_update(raw_option, 1);
  ::nghttp2_option_set_no_closed_streams(raw_option, 1);
  // Its count is of reads, not of frames: nine for a frame whose header comes byte by byte. Ours is the gate's.
  ::nghttp2_option_set_max_continuations(raw_option, 16 * options_.limits.continuations);

  nghttp2_mem wiping{nullptr, [](std::size_t size, void*) { return ::malloc(size); }, wiping_free,
                     [](std::size_t n, std::size_t size, void*) { return ::calloc(n, size); }, wiping_realloc};
  nghttp2_mem* memory = options_.wipe ? &wiping : nullptr;
  const int made = role == Role::server
                       ? ::nghttp2_session_server_new3(&session_, raw_callbacks, this, raw_option, memory)
                       : ::nghttp2_session_client_new3(&session_, raw_callbacks, this, raw_option, memory);
  if (made != 0) throw std::bad_alloc();

  const H2Limits& limits = options_.limits;
  std::vector<nghttp2_settings_entry> settings{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(options_.head.head)}};
  if (role == Role::server) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams});
    settings.push_back({NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  if (::nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) != 0 ||
      ::nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              static_cast<std::int32_t>(limits.connection_window)) != 0) {
    ::nghttp2_session_del(session_);
    throw std::bad_alloc();
  }
}

H2Session::~H2Session() {
  ::nghttp2_session_del(session_);
}

tl::expected<void, H2Violation> H2Session::receive(std::string_view bytes, Clock::time_point now) {
  const auto violated = [&](H2Violation violation) {
    (void)::nghttp2_session_terminate_session(session_, violation.code);
    violated_ = violation;
    return tl::unexpected(std::move(violation));
  };
  if (violated_) return tl::unexpected(*violated_);
  if (auto ok = gate_.take(bytes, now); !ok) return violated(std::move(ok).error());
  const ssize_t taken =
      ::nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (violated_) return violated(*violated_);
  if (taken < 0) {
    const auto code = taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
    return violated({code, "frame", ::nghttp2_strerror(static_cast<int>(taken))});
  }
  for (; faults_ > 0; --faults_) {
    if (auto ok = gate_.fault(now); !ok) return violated(std::move(ok).error());
  }
  if (::nghttp2_session_get_outbound_queue_size(session_) > most_queued) {
    return violated({NGHTTP2_ENHANCE_YOUR_CALM, "flood", "questions without end, and no answer taken"});
  }
  return {};
}

void H2Session::send(std::string& out, std::size_t at_most) {
  while (out.size() < at_most) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = ::nghttp2_session_mem_send(session_, &bytes);
    if (size <= 0) {
      if (size < 0) end(H2Code::internal_error);
      return;
    }
    out.append(view(bytes, static_cast<std::size_t>(size)));
  }
}

bool H2Session::finished() const {
  return ::nghttp2_session_want_read(session_) == 0 && ::nghttp2_session_want_write(session_) == 0;
}

bool H2Session::respond(std::int32_t stream, std::uint16_t status, const lane::Headers& headers, bool body) {
  const std::string code = std::to_string(status);
  std::vector<nghttp2_nv> fields{field(":status", code)};
  append(fields, headers);
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::read;
  return ::nghttp2_submit_response(session_, stream, fields.data(), fields.size(), body ? &provider : nullptr) == 0;
}

bool H2Session::interim(std::int32_t stream, std::uint16_t status) {
  const std::string code = std::to_string(status);
  const nghttp2_nv head = field(":status", code);
  return ::nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream, nullptr, &head, 1, nullptr) == 0;
}

std::optional<std::int32_t> H2Session::request(const Pseudo& pseudo, const lane::Headers& headers,
                                               std::string_view secret, bool body) {
  std::vector<nghttp2_nv> fields{field(":method", pseudo.method), field(":scheme", pseudo.scheme),
                                 field(":authority", pseudo.authority), field(":path", pseudo.path)};
  append(fields, headers, secret);
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::read;
  const std::int32_t id =
      ::nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), body ? &provider : nullptr, nullptr);
  if (id < 0) return std::nullopt;
  return id;
}

bool H2Session::may_request() const {
  return !violated_ && ::nghttp2_session_check_request_allowed(session_) != 0;
}

std::uint32_t H2Session::peer_streams() const {
  return ::nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void H2Session::resume(std::int32_t stream) {
  (void)::nghttp2_session_resume_data(session_, stream);
}

void H2Session::consumed(std::int32_t stream, std::size_t bytes) {
  (void)::nghttp2_session_consume(session_, stream, bytes);
}

void H2Session::reset(std::int32_t stream, H2Code code) {
  (void)::nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, static_cast<std::uint32_t>(code));
}

void H2Session::end(H2Code code) {
  leaving_ = true;
  (void)::nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
}

}  // namespace bulkhead::http
