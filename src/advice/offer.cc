#include "advice/offer.h"

#include <algorithm>

#include "advice/trial.h"
#include "gateway/grant/host.h"
#include "policy/load.h"
#include "policy/toml.h"
#include "policy/within.h"

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
  out.grant = "1";
  out.slot = !question.credential.empty();
  if (out.slot) out.credentials = {"authorization"};
  return out;
}

// What the request is taken to carry; none of a credential whose token says more than that it is the session's.
std::vector<TokenSlot> tokens_of(const Question& question, const Known& known) {
  const auto found = known.credentials.find(question.credential);
  if (found == known.credentials.end()) return {};
  const Credential& one = found->second;
  const bool fixed = one.source != Credential::Source::answer && one.source != Credential::Source::login &&
                     one.carrier != Credential::Carrier::sigv4;
  if (!fixed) return {};
  return {{.credential = question.credential,
           .token = "token-of-the-session",
           .carrier = one.carrier,
           .header = one.header,
           .basic_user = one.basic_user}};
}

// Where a question's credential may be exchanged: `tokens` is empty without one.
struct Judging {
  grant::RequestHead head;
  std::vector<TokenSlot> tokens;

  bool allows(const std::vector<Grant>& grants) const {
    const std::string& credential = tokens.empty() ? std::string() : tokens.front().credential;
    if (!std::ranges::all_of(grants, [&](const Grant& one) { return one.credential == credential; })) return false;
    const grant::Decision decision = grant::judge(grants, tokens, head);
    return decision.verdict == grant::Verdict::allow && decision.slot_filled == !tokens.empty();
  }
};

Result<Judging> judging(const Question& question, const Known& known) {
  Judging out{head_of(question), {}};
  if (question.credential.empty()) return out;
  out.tokens = tokens_of(question, known);
  if (out.tokens.empty()) return fail("its credential is not one to be asked about");
  for (auto& header : filled(out.tokens.front())) out.head.headers.push_back(std::move(header));
  return out;
}

// Does a grant that holds exchange `credential` there? One that says which address it dials says nothing of others.
bool goes_there(const std::string& credential, const std::vector<std::string>& hosts, std::uint16_t port,
                const std::vector<Grant>& held) {
  return std::ranges::any_of(held, [&](const Grant& one) {
    return one.credential == credential && one.port == port && one.address.empty() && !is_plain(one.protocol) &&
           one.protocol != Protocol::tcp &&
           std::ranges::all_of(hosts, [&](const std::string& host) { return within(host, one.hosts); });
  });
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

bool allowed_by(const std::vector<Grant>& grants, const Question& question, const Known& known) {
  const auto as = judging(question, known);
  std::vector<Grant> some;
  std::ranges::copy_if(grants, std::back_inserter(some),
                       [&](const Grant& one) { return one.credential == question.credential; });
  return as && as->allows(some);
}

Result<Offer> offer_for(const Question& question, const Known& known, const std::vector<Grant>& held) {
  BH_TRY(const Judging as, judging(question, known));
  const std::string& credential = question.credential;
  const std::string host(grant::without_brackets(question.host));
  if (!credential.empty() && !goes_there(credential, {host}, question.port, held)) {
    return fail("no grant exchanges its credential at this host");
  }
  Learner learner;
  SessionPolicy recorded_policy;
  recorded_policy.grants["1"].credential = credential;
  learner.see(recorded_policy);
  learner.see(recorded(question));
  Offer offer;
  offer.credential = credential;
  BH_TRY(offer.toml, learner.single());
  BH_TRY(Document document, load_document("version = 1\n" + offer.toml, "the offer", "answer"));
  offer.grants = std::move(document.grants);
  for (Grant& grant : offer.grants) grant.origin = {"answer", "", 0};
  if (offer.grants.size() != 1 || offer.grants[0].allow.size() != 1 || !as.allows(offer.grants)) {
    return fail("no grant says exactly this");
  }

  offer.once = offer.grants;
  Grant& once = offer.once.front();
  once.budget.requests = 1;
  Rule& rule = once.allow.front();
  rule.target = question.target;
  rule.query = {"*"};
  if (question.body != lane::BodyKind::streamed) rule.max_body = question.body_length;
  if (!as.allows(offer.once)) return fail("no grant says exactly this");

  for (const auto& [name, named] : known.presets) {
    std::vector<Grant> grants = named;
    for (Grant& one : grants) one.credential = credential;
    const auto fits = [&](const Grant& one) {
      return credential.empty() || (!is_plain(one.protocol) && goes_there(credential, one.hosts, one.port, held));
    };
    const bool smaller = offer.preset.empty() || rules_in(grants) < rules_in(offer.grants);
    if (!smaller || !std::ranges::all_of(grants, fits) || !as.allows(grants)) continue;
    offer.preset = name;
    offer.grants = std::move(grants);
  }
  if (!offer.preset.empty()) {
    offer.toml = "[[grant]]\npreset = " + toml_string(offer.preset) + "\n" +
                 (credential.empty() ? "" : "credential = " + toml_string(credential) + "\n");
  }
  return offer;
}

}  // namespace bulkhead::advice
