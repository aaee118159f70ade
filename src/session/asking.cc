#include "session/asking.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::session {
namespace {

nlohmann::json fields_of(const Question& question) {
  nlohmann::json out{{"number", question.number}, {"method", question.method}, {"scheme", question.scheme},
                     {"host", question.host},     {"port", question.port},     {"path", question.target}};
  if (!question.credential.empty()) out["credential"] = question.credential;
  return out;
}

std::string path_of(const Question& question) {
  return question.target.substr(0, question.target.find('?'));
}

std::string url_of(const Question& question, const std::string& target) {
  const bool usual = question.port == usual_port(is_plain(question.scheme));
  return question.method + " " + question.scheme + "://" + question.host +
         (usual ? "" : ":" + std::to_string(question.port)) + target;
}

// What was said no to; the same with a key is another thing.
std::string refusal_of(const Question& question) {
  return url_of(question, path_of(question)) + " " + question.credential;
}

}  // namespace

Asking::Asking(AskWorld& world, advice::Known known, AskShown shown, AskBounds bounds)
    : world_(world),
      known_(std::move(known)),
      shown_(std::move(shown)),
      bounds_(bounds),
      rate_(bounds.per_minute / 60, bounds.per_minute),
      left_in_all_(bounds.in_all) {}

Result<void> Asking::asked(Question question, Clock::time_point) {
  if (question.number != last_ + 1) return fail("front asked out of order");
  last_ = question.number;
  if (closed_) return world_.answer(question.number);
  if (waiting_.size() >= bounds_.waiting) return decline(question, true);
  waiting_.push_back(std::move(question));
  return {};
}

Result<void> Asking::ended(std::uint64_t number, Clock::time_point now) {
  if (number == 0 || number > last_) return fail("front ended a question it never asked");
  std::erase_if(waiting_, [&](const Question& one) { return one.number == number; });
  if (const auto once = once_.find(number); once != once_.end()) {
    over_.insert(over_.end(), once->second.begin(), once->second.end());
    once_.erase(once);
  }
  if (open_ && open_->question.number == number) return deny("gone", now);
  return {};
}

Result<void> Asking::step(Clock::time_point now) {
  if (applying_ && !world_.busy()) {
    BH_CHECK(world_.answer(*applying_));
    applying_.reset();
  }
  if (!over_.empty() && !world_.busy()) {
    BH_CHECK(world_.withdraw(over_));
    over_.clear();
  }
  if (open_ && !open_->key) {
    if (!world_.showing()) {
      BH_CHECK(deny("gone", now));
    } else if (const auto key = world_.key()) {
      world_.hide();
      open_->key = key;
    } else if (now - open_->since >= bounds_.patience) {
      BH_CHECK(deny("timeout", now));
    }
  }
  if (open_ && open_->key && !world_.busy()) BH_CHECK(decide(*open_->key, now));
  while (!open_ && !applying_ && !waiting_.empty() && !world_.busy()) BH_CHECK(next(now));
  return {};
}

std::optional<Asking::Clock::time_point> Asking::deadline() const {
  if (!open_ || open_->key) return std::nullopt;
  return open_->since + bounds_.patience;
}

std::string why_not_always(const AskShown& shown, const advice::Offer& offer) {
  if (shown.file.empty()) return shown.no_file;
  if (offer.credential.empty() || shown.credentials.contains(offer.credential)) return {};
  return "credential \"" + offer.credential + "\" is not defined in " + shown.file;
}

std::string Asking::keys(const advice::Offer& offer) const {
  return why_not_always(shown_, offer).empty() ? "yosan" : "yosn";
}

Result<void> Asking::next(Clock::time_point now) {
  Question question = std::move(waiting_.front());
  waiting_.pop_front();
  // What was granted while it waited, as far as a head shows it. Front judges it again: this only spares a question.
  if (advice::allowed_by(world_.held(), question, known_)) return world_.answer(question.number);
  // Asked again and again, whoever is asked says yes at last.
  if (refused_.contains(refusal_of(question))) return world_.answer(question.number);
  auto offer = advice::offer_for(question, known_, world_.held());
  if (!offer || !world_.can_grant(offer->once) || !world_.can_grant(offer->grants)) return decline(question, false);
  const std::vector<std::string> lines = question_lines(question, *offer, shown_, world_.window());
  if (lines.empty()) return decline(question, false);
  if (left_in_all_ == 0 || !rate_.take(now)) return decline(question, true);
  if (!world_.show(lines, keys(*offer))) return decline(question, false);
  --left_in_all_;
  nlohmann::json fields = fields_of(question);
  if (!offer->preset.empty()) fields["preset"] = offer->preset;
  open_ = Open{std::move(question), std::move(*offer), now};
  return world_.record("ask.question", fields);
}

Result<void> Asking::resized(Clock::time_point now) {
  if (!open_ || open_->key) return {};
  const std::vector<std::string> lines = question_lines(open_->question, open_->offer, shown_, world_.window());
  if (lines.empty()) return deny("gone", now, "the window became too small for it");
  world_.hide();
  if (!world_.show(lines, keys(open_->offer))) return deny("gone", now);
  return {};
}

Result<void> Asking::close(Clock::time_point now) {
  closed_ = true;
  if (open_) BH_CHECK(deny("gone", now));
  for (const Question& question : waiting_) BH_CHECK(world_.answer(question.number));
  waiting_.clear();
  return {};
}

Result<void> Asking::decline(const Question& question, bool too_many) {
  ++not_asked_;
  if (too_many && recorded_ < bounds_.recorded) {
    ++recorded_;
    nlohmann::json fields = fields_of(question);
    fields["answer"] = "rate";
    BH_CHECK(world_.record("ask.answer", fields));
  }
  return world_.answer(question.number);
}

// Every answer that grants nothing.
Result<void> Asking::deny(const char* answer, Clock::time_point now, const std::string& why) {
  const Open open = std::move(*open_);
  open_.reset();
  world_.hide();
  const bool by_person = std::string_view(answer) != "gone";
  if (by_person && refused_.size() < bounds_.remembered) {
    refused_.insert(refusal_of(open.question));
  }
  nlohmann::json fields = fields_of(open.question);
  fields["answer"] = answer;
  fields["ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(now - open.since).count();
  if (!why.empty()) fields["why"] = why;
  BH_CHECK(world_.record("ask.answer", fields));
  return world_.answer(open.question.number);
}

Result<void> Asking::decide(char key, Clock::time_point now) {
  const bool once = key == 'y' || key == 'o', always = key == 'a' && why_not_always(shown_, open_->offer).empty();
  if (!once && !always && key != 's') return deny("no", now);
  const std::vector<Grant>& grants = once ? open_->offer.once : open_->offer.grants;
  // Something may have been taken back meanwhile.
  if (auto possible = world_.can_grant(grants); !possible) return deny("no", now, possible.error().message);
  const Open open = std::move(*open_);
  open_.reset();
  nlohmann::json fields = fields_of(open.question);
  fields["answer"] = once ? "once" : always ? "always" : "session";
  fields["ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(now - open.since).count();
  if (!once && !open.offer.preset.empty()) fields["preset"] = open.offer.preset;
  bool is_kept = false;
  if (always) {
    std::string what = escape_for_terminal(url_of(open.question, path_of(open.question)), 200);
    if (!open.offer.credential.empty()) what += " with credential " + open.offer.credential;
    if (auto kept = world_.keep(open.offer.toml); kept) {
      is_kept = true;
      fields["file"] = shown_.file;
      notes_.push_back("ask: added to " + escape_for_terminal(shown_.file) + ": a grant for " + what);
    } else {
      fields["why"] = kept.error().message.substr(0, 1000);
      notes_.push_back("ask: " + escape_for_terminal(kept.error().message) + ", so the answer about " + what +
                       " held for this session only; to keep it, add:\n" + open.offer.toml);
    }
  }
  BH_TRY(std::vector<std::string> ids,
         world_.grant(once ? open.offer.once : open.offer.grants, is_kept, std::move(fields)));
  if (once) once_[open.question.number] = std::move(ids);
  applying_ = open.question.number;
  return {};
}

std::vector<std::string> Asking::summary() const {
  std::vector<std::string> out = notes_;
  if (not_asked_ > 0) {
    out.push_back("ask: " + std::to_string(not_asked_) + (not_asked_ == 1 ? " request was" : " requests were") +
                  " not asked about, and denied");
  }
  return out;
}

}  // namespace bulkhead::session
