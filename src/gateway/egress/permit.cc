#include "gateway/egress/permit.h"

#include <algorithm>

#include "gateway/grant/budget.h"
#include "gateway/grant/grant.h"

namespace bulkhead::egress {

struct Permits::Entry {
  explicit Entry(Grant grant) : grants{std::move(grant)}, meter(grants.front().budget) {}
  std::vector<Grant> grants;  // one: what judge() takes
  grant::Meter meter;
};

namespace {

tl::unexpected<lane::Failure> refuse(std::uint16_t status, std::string reason, std::string text) {
  return tl::unexpected(lane::Failure{status, std::move(reason), std::move(text)});
}

// The serialiser takes a line break for a defect of ours and aborts: what a front that was taken over sends must not
// get that far. Method, host and target are what the grant says they may be.
bool writable(const lane::Request& request) {
  const auto in_name = [](unsigned char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(static_cast<char>(c)) == std::string_view::npos &&
           !(c >= 'A' && c <= 'Z');
  };
  const auto in_value = [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); };
  return std::ranges::all_of(request.headers, [&](const auto& header) {
    return !header.first.empty() && std::ranges::all_of(header.first, in_name) &&
           std::ranges::all_of(header.second, in_value);
  });
}

}  // namespace

Permits::Permits(std::vector<Grant> grants, std::string credential, TokenSlot slot)
    : credential_(std::move(credential)) {
  if (!credential_.empty()) slots_.push_back(std::move(slot));
  for (Grant& grant : grants) {
    if (grant.credential != credential_) continue;  // another egress's
    const std::string id = grant.id;
    entries_.emplace(id, std::make_unique<Entry>(std::move(grant)));
  }
}

Permits::~Permits() = default;

tl::expected<Permits::Permit, lane::Failure> Permits::judge(lane::Request& request) {
  const auto found = entries_.find(request.grant);
  if (found == entries_.end()) return refuse(403, "grant", "egress knows no such grant");
  Entry& entry = *found->second;
  if (!writable(request)) return refuse(400, "protocol", "a header that can't be written reached egress");
  grant::RequestHead head{.method = request.method,
                          .scheme = request.scheme,
                          .host = request.host,
                          .port = request.port,
                          .target = request.target,
                          .headers = std::move(request.headers),
                          .body = request.body,
                          .body_length = request.body_length};
  const grant::Decision decision = grant::judge(entry.grants, slots_, head);
  request.headers = grant::upstream_headers(head, slots_.empty() ? nullptr : &slots_.front());
  if (decision.verdict != grant::Verdict::allow) {
    return refuse(decision.status, decision.reason, decision.text);
  }
  if (request.slot_filled && credential_.empty()) {
    return refuse(403, "carrier", "egress holds no credential for this grant");
  }
  if (request.body == lane::BodyKind::length && !entry.meter.fits_up(request.body_length)) {
    return refuse(429, "budget", "the grant's budget for bytes_up is used up");
  }
  if (const auto limit = entry.meter.request(grant::Meter::Clock::now())) {
    return refuse(429, "budget", "the grant's budget for " + std::string(*limit) + " is used up");
  }
  return Permit{&entry.grants.front(), decision.rule, request.slot_filled, request.grant};
}

bool Permits::count_up(const Permit& permit, std::size_t bytes) {
  return entries_.at(permit.id)->meter.up(bytes);
}

bool Permits::count_down(const Permit& permit, std::size_t bytes) {
  return entries_.at(permit.id)->meter.down(bytes);
}

}  // namespace bulkhead::egress
