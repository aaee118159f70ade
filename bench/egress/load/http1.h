// As much of HTTP/1.1 as a client of known sites needs: where an answer ends, and whether it is the one expected.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "job.h"

namespace load {

class Answer {
 public:
  // True: the answer is complete. Throws if it is not the one expected.
  bool feed(std::string_view bytes, std::size_t expect) {
    if (!headed_) {
      head_ += bytes;
      const std::size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return false;
      const std::string rest = head_.substr(end + 4);
      read_head(end + 2);
      headed_ = true;
      return body(rest, expect);
    }
    return body(bytes, expect);
  }

 private:
  void read_head(std::size_t size) {
    if (head_.compare(0, 13, "HTTP/1.1 200 ") != 0) throw Failed("answer: " + head_.substr(0, head_.find('\r')));
    for (char& c : head_) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const std::string_view head(head_.data(), size);
    chunked_ = head.find("\r\ntransfer-encoding: chunked\r\n") != std::string_view::npos;
    const std::string_view name = "\r\ncontent-length: ";
    if (const std::size_t at = head.find(name); at != std::string_view::npos) {
      const char* from = head.data() + at + name.size();
      std::from_chars(from, head.data() + size, length_);
    } else if (!chunked_) {
      throw Failed("answer: no length");
    }
  }

  bool body(std::string_view bytes, std::size_t expect) {
    if (!chunked_) {
      got_ += bytes.size();
      return got_ < length_ ? false : done(expect);
    }
    while (!bytes.empty()) {
      if (left_ > 0) {
        const std::size_t n = std::min(left_, bytes.size());
        // The line end after a chunk is counted with it.
        left_ -= n;
        bytes.remove_prefix(n);
        continue;
      }
      line_ += bytes.front();
      bytes.remove_prefix(1);
      if (!line_.ends_with("\r\n")) continue;
      if (last_) return done(expect);
      std::size_t size = 0;
      std::from_chars(line_.data(), line_.data() + line_.size(), size, 16);
      line_.clear();
      got_ += size;
      left_ = size + 2;
      if (size == 0) left_ = 0, last_ = true;
    }
    return false;
  }

  bool done(std::size_t expect) const {
    if (got_ != expect) throw Failed("answer: " + std::to_string(got_) + " bytes of " + std::to_string(expect));
    return true;
  }

  std::string head_, line_;
  bool headed_ = false, chunked_ = false, last_ = false;
  std::size_t length_ = 0, got_ = 0, left_ = 0;
};

std::string request_head(const Job& job);  // without a body's bytes

}  // namespace load
