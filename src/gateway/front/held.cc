#include "gateway/front/held.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gateway/grant/carrier.h"
#include "gateway/grant/host.h"
#include "gateway/question.h"

namespace bulkhead::front {
namespace {

// What a grant is the answer to. Everything else that is refused stays refused whoever is asked.
constexpr std::array<std::string_view, 5> wanting{"no-grant", "path", "method", "query", "header"};

bool may_be_asked(const Shared& shared, const grant::Decision& denied) {
  // Where no grant may be offered (`add`), none is asked for: a foreign key, an address of the inside. One with the
  // session's token has a grant at this place already, of that credential: more of it may be asked for, but for what
  // signs requests or was handed out, which grants say more about than a question could.
  if (denied.slot_filled) {
    const TokenSlot* slot = denied.grant == nullptr ? nullptr : shared.slot_of(*denied.grant);
    if (slot == nullptr || slot->issued || slot->carrier == Credential::Carrier::sigv4) return false;
  }
  return denied.verdict == grant::Verdict::deny && !denied.add.empty() &&
         std::ranges::find(wanting, denied.reason) != wanting.end();
}

Question question_of(const Shared& shared, const Arrival& arrival, const http::RequestHead& head,
                     const grant::Decision& denied) {
  Question question;
  const TokenSlot* slot = denied.slot_filled && denied.grant != nullptr ? shared.slot_of(*denied.grant) : nullptr;
  if (slot != nullptr) question.credential = slot->credential;
  question.method = head.method;
  question.scheme = arrival.scheme;
  if (const auto authority = grant::parse_authority(head.host)) question.host = authority->host;
  question.port = arrival.destination.port;
  question.target = head.target;
  for (const auto& [name, value] : head.headers) {
    if (name == "content-type") question.content_type = value;
    const bool known = std::ranges::find(question.headers, name) != question.headers.end();
    const bool is_slot = slot != nullptr && name == grant::slot_header(*slot);
    if (grant::needs_listing(name) && !known && !is_slot) question.headers.push_back(name);
  }
  question.http2 = arrival.http2;
  question.body = head.body;
  if (head.body == lane::BodyKind::length) question.body_length = head.body_length;
  return question;
}

}  // namespace

void Questions::answered(std::uint64_t number) {
  const auto found = held_.find(number);
  if (found == held_.end()) return;
  found->second->answered_ = true;
  found->second->signal_->notify();
}

Held::Held(Shared& shared, const Arrival& arrival, const http::RequestHead& head, const grant::Decision& denied)
    : shared_(shared) {
  if (!shared.questions || shared.stopped || !may_be_asked(shared, denied)) return;
  Questions& questions = *shared.questions;
  if (questions.held_.size() >= questions.most_ || !questions.rate_.take(Clock::now())) return;
  Question question = question_of(shared, arrival, head, denied);
  question.number = questions.last_ + 1;
  const nlohmann::json message = to_json(question);
  if (!question_from(message)) return;  // too much of something to be shown, or to be granted
  if (!questions.say_(message, false)) return;
  signal_.emplace(shared.io);
  number_ = ++questions.last_;
  questions.held_.emplace(number_, this);
}

Held::~Held() {
  if (number_ == 0) return;
  shared_.questions->held_.erase(number_);
  if (!shared_.stopped) (void)shared_.questions->say_(question_word("ended", number_), true);
}

Task<bool> Held::wait() {
  const auto until = Clock::now() + shared_.limits.question;
  while (!answered_ && !left_ && !shared_.stopped) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) break;
    (void)co_await signal_->wait(left);
  }
  co_return answered_ && !left_ && !shared_.stopped;
}

void Held::leave() {
  left_ = true;
  signal_->notify();
}

}  // namespace bulkhead::front
