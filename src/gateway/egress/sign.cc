#include "gateway/egress/sign.h"

#include <algorithm>
#include <array>
#include <map>

#include "credential/exchange.h"
#include "policy/digest.h"
#include "policy/policy.h"

namespace bulkhead::egress {

namespace sigv4 = grant::sigv4;

namespace {

lane::Failure unsigned_request(std::string text) {
  return {403, "signature", std::move(text)};
}

std::string time_text(std::time_t now) {
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc)};
}

// Beside host and x-amz-*, which have to be.
bool signed_too(std::string_view name) {
  return name.starts_with("x-amz-") || name == "content-type" || name == "content-md5";
}

}  // namespace

Result<Signer> Signer::make(const Secret& secret, const TokenSlot& slot) {
  const std::vector<std::string_view> parts = key_pair_parts(secret.reveal());
  if (parts.size() < 2 || parts.size() > 3) return fail("the credential is no key pair");
  Signer signer;
  signer.slot_ = slot;
  signer.key_id_ = Secret(parts[0]);
  signer.key_ = Secret(parts[1]);
  if (parts.size() == 3) signer.session_ = Secret(parts[2]);
  return signer;
}

void Signer::sign(lane::Headers& headers, std::string_view method, std::string_view host, std::string_view target,
                  std::string_view payload, std::time_t now) const {
  std::erase_if(headers, [](const auto& header) {
    return header.first == "authorization" || header.first == "x-amz-date" || header.first == "x-amz-security-token" ||
           header.first == "date";
  });
  const std::string time = time_text(now);
  headers.emplace_back("x-amz-date", time);
  if (!session_.empty()) headers.emplace_back("x-amz-security-token", session_.reveal());
  const bool declared =
      std::ranges::any_of(headers, [](const auto& header) { return header.first == "x-amz-content-sha256"; });
  if (!declared && slot_.service == "s3") headers.emplace_back("x-amz-content-sha256", payload);

  // Sorted by name. The same name twice is one line (RFC 9110 §5.3 and AWS agree on the comma).
  std::map<std::string, std::string> lines{{"host", std::string(host)}};
  for (const auto& [name, value] : headers) {
    if (!signed_too(name)) continue;
    const auto [line, fresh] = lines.emplace(name, value);
    if (!fresh) line->second += "," + value;
  }
  const lane::Headers to_sign(lines.begin(), lines.end());
  std::string names;
  for (const auto& header : to_sign) names += (names.empty() ? "" : ";") + header.first;
  // The target was canonical when the incoming signature was checked.
  const std::string canonical =
      sigv4::canonical_request({method, target, to_sign, payload}, slot_.service).value_or("");
  const std::string signature = sigv4::sign(key_.reveal(), time, slot_.region, slot_.service, canonical);
  headers.emplace_back("authorization", "AWS4-HMAC-SHA256 Credential=" + std::string(key_id_.reveal()) + "/" +
                                            time.substr(0, 8) + "/" + slot_.region + "/" + slot_.service +
                                            "/aws4_request, SignedHeaders=" + names + ", Signature=" + signature);
}

Incoming::Incoming(const lane::Request& request)
    : method_(request.method),
      host_(request.host),
      target_(request.target),
      usual_port_(usual_port(is_plain(request.scheme))),
      port_(request.port),
      body_(request.body),
      body_length_(request.body_length),
      headers_(request.headers) {}

std::optional<std::string> Incoming::payload() const {
  const auto declared = std::ranges::find(headers_, "x-amz-content-sha256", &lane::Headers::value_type::first);
  if (declared != headers_.end()) return declared->second;
  if (body_ == lane::BodyKind::none) return sha256_hex("");
  return std::nullopt;
}

std::optional<lane::Failure> Incoming::verify(const TokenSlot& slot, std::string_view payload) const {
  const auto authorization = std::ranges::find(headers_, "authorization", &lane::Headers::value_type::first);
  if (authorization == headers_.end()) return unsigned_request("the request is not signed");
  if (const auto refused = sigv4::judge_head(authorization->second, headers_, slot)) {
    return lane::Failure{403, refused->reason, refused->text};
  }
  const auto parsed = sigv4::parse(authorization->second);
  if (body_ == lane::BodyKind::none && sigv4::is_sha256_hex(payload) && payload != sha256_hex("")) {
    return wrong_body();
  }
  // A port that goes without saying may be said.
  const std::string with_port = host_ + ":" + std::to_string(port_);
  for (const std::string& host : port_ == usual_port_ ? std::vector{host_, with_port} : std::vector{with_port}) {
    lane::Headers to_check;
    for (const std::string& name : parsed->signed_headers) {
      if (name == "host") {
        to_check.emplace_back(name, host);
        continue;
      }
      if (name == "content-length") {  // framing is ours: what it said is in the request
        if (body_ == lane::BodyKind::streamed) return unsigned_request("it signs a length that it does not have");
        to_check.emplace_back(name, std::to_string(body_ == lane::BodyKind::none ? 0 : body_length_));
        continue;
      }
      std::string value;
      bool any = false;
      for (const auto& header : headers_) {
        if (header.first != name) continue;
        value += (any ? "," : "") + header.second;
        any = true;
      }
      if (!any) {
        return unsigned_request("it signs the header " + name +
                                ", which is not there or can't be passed on; let the client leave it unsigned");
      }
      to_check.emplace_back(name, std::move(value));
    }
    const auto time = std::ranges::find(headers_, "x-amz-date", &lane::Headers::value_type::first);
    const auto canonical = sigv4::canonical_request({method_, target_, to_check, payload}, slot.service);
    if (!canonical) return unsigned_request("its address can't be signed: a broken percent escape");
    const std::string expected = sigv4::sign(slot.signing_key, time->second, slot.region, slot.service, *canonical);
    if (sigv4::equal(expected, parsed->signature)) break;
    if (host == with_port) {
      return unsigned_request("the request's signature is not that of this session's key for credential \"" +
                              slot.credential + "\"");
    }
  }
  // What upstream has to be able to rely on must be what was signed.
  for (const auto& header : headers_) {
    if (header.first.starts_with("x-amz-") && !std::ranges::binary_search(parsed->signed_headers, header.first)) {
      return unsigned_request("it does not sign its header " + header.first);
    }
  }
  return std::nullopt;
}

BodyHash::BodyHash(std::string declared) : declared_(std::move(declared)) {
  if (!sigv4::is_sha256_hex(declared_)) return;
  context_.reset(::EVP_MD_CTX_new());
  if (context_) ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr);
}

void BodyHash::add(std::string_view bytes) {
  if (context_) ::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

bool BodyHash::matches() {
  if (!context_) return !sigv4::is_sha256_hex(declared_);
  std::array<unsigned char, 32> out{};
  unsigned length = 0;
  ::EVP_DigestFinal_ex(context_.get(), out.data(), &length);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : out) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  context_.reset();
  return sigv4::equal(hex, declared_);
}

lane::Failure wrong_body() {
  return unsigned_request("the body is not the one that was signed");
}

}  // namespace bulkhead::egress
