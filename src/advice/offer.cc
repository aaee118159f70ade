#include "advice/offer.h"

#include <algorithm>

#include "policy/load.h"
#include "policy/toml.h"

namespace bulkhead::advice {
namespace {

RecordedRequest recorded(const Question& question) {
  RecordedRequest out;
  out.method = question.method;
  out.scheme = question.scheme;
  out.host = question.host;
  out.target = question.target;
  out.port = question.port;
  out.rule = "no-grant";
  out.detailed = true;
  out.content_type = question.content_type;
  out.body = question.body == lane::BodyKind::none     ? RecordedRequest::Body::none
             : question.body == lane::BodyKind::length ? RecordedRequest::Body::length
                                                       : RecordedRequest::Body::streamed;
  out.length = question.body_length;
  out.http2 = question.http2;
  out.headers = question.headers;
  return out;
}

bool allows(const std::vector<Grant>& grants, const grant::RequestHead& head) {
  return std::ranges::all_of(grants, [](const Grant& one) { return one.credential.empty(); }) &&
         grant::judge(grants, {}, head).verdict == grant::Verdict::allow;
}

std::size_t rules_in(const std::vector<Grant>& grants) {
  std::size_t count = 0;
  for (const Grant& grant : grants) count += grant.allow.size();
  return count;
}

}  // namespace

grant::RequestHead head_of(const Question& question) {
  grant::RequestHead head{.method = question.method,
                          .scheme = question.scheme,
                          .host = question.host,
                          .port = question.port,
                          .target = question.target,
                          .headers = {},
                          .body = question.body,
                          .body_length = question.body_length,
                          .http2 = question.http2};
  // Of the others no value is known; that there is one is what is judged.
  for (const std::string& name : question.headers) head.headers.emplace_back(name, "1");
  if (!question.content_type.empty()) head.headers.emplace_back("content-type", question.content_type);
  return head;
}

Result<Offer> offer_for(const Question& question, const Known& known) {
  const grant::RequestHead head = head_of(question);
  Learner learner;
  learner.see(recorded(question));
  Offer offer;
  BH_TRY(offer.toml, learner.single());
  BH_TRY(Document document, load_document("version = 1\n" + offer.toml, "the offer", "answer"));
  offer.grants = std::move(document.grants);
  for (Grant& grant : offer.grants) grant.origin = {"answer", "", 0};
  if (offer.grants.size() != 1 || offer.grants[0].allow.size() != 1 || !allows(offer.grants, head)) {
    return fail("no grant says exactly this");
  }

  offer.once = offer.grants;
  Grant& once = offer.once.front();
  once.budget.requests = 1;
  Rule& rule = once.allow.front();
  rule.target = question.target;
  rule.query = {"*"};
  if (question.body != lane::BodyKind::streamed) rule.max_body = question.body_length;
  if (!allows(offer.once, head)) return fail("no grant says exactly this");

  for (const auto& [name, grants] : known.presets) {
    const bool smaller = offer.preset.empty() || rules_in(grants) < rules_in(offer.grants);
    if (!smaller || !allows(grants, head)) continue;
    offer.preset = name;
    offer.grants = grants;
  }
  if (!offer.preset.empty()) offer.toml = "[[grant]]\npreset = " + toml_string(offer.preset) + "\n";
  return offer;
}

}  // namespace bulkhead::advice
