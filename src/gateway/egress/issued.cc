#include "gateway/egress/issued.h"

#include <algorithm>

#include "gateway/egress/limits.h"
#include "gateway/grant/carrier.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

std::optional<std::string> IssuedValues::unfit(std::string_view value) const {
  if (value.size() < min_issued) {
    return "it is shorter than " + std::to_string(min_issued) + " characters, which ordinary text could hold too";
  }
  if (value.size() > max_issued_length) return "it is longer than " + std::to_string(max_issued_length) + " characters";
  if (!std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; })) {
    return "it has characters that no token has";
  }
  // Our own token for the real thing, or a part of it: what stands in a request would mean two things.
  if (slot_.token.find(value) != std::string::npos || value.find(slot_.token) != std::string_view::npos) {
    return "it is this session's own token";
  }
  return std::nullopt;
}

Result<std::uint32_t> IssuedValues::keep(std::string_view value) {
  if (auto why = unfit(value)) return fail(*why);
  const auto known = std::ranges::find_if(values_, [&](const One& one) { return one.value.reveal() == value; });
  if (known != values_.end()) {
    std::rotate(known, known + 1, values_.end());
    return values_.back().number;
  }
  if (last_ == lane::max_issued_number) return fail("this session has been handed out too many");
  Secret secret(value);
  BH_TRY(CredentialHeader header, exchange(slot_, secret));
  if (values_.size() == max_issued) values_.pop_front();
  values_.push_back({++last_, std::move(secret), std::move(header)});
  return last_;
}

const CredentialHeader* IssuedValues::find(std::uint32_t number) const {
  const auto found = std::ranges::find(values_, number, &One::number);
  return found == values_.end() ? nullptr : &found->header;
}

std::string_view IssuedValues::header_name() const {
  return grant::slot_header(slot_);
}

std::string IssuedValues::token(std::uint32_t number) const {
  return slot_.token + "-" + std::to_string(number);
}

Patterns IssuedValues::patterns() const {
  Patterns patterns;
  for (const One& one : values_) patterns.add(one.value, slot_);
  return patterns;
}

}  // namespace bulkhead::egress
