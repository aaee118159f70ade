#include "gateway/grant/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/text.h"
#include "policy/digest.h"

namespace bulkhead::grant::sigv4 {

using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t max_signed_headers = 64;

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, 32> out{};
  unsigned length = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
         text.size(), out.data(), &length);
  std::string result(reinterpret_cast<const char*>(out.data()), out.size());
  ::OPENSSL_cleanse(out.data(), out.size());
  return result;
}

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string uri_encode(std::string_view text, bool keep_slash) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (unreserved(c) || (keep_slash && c == '/')) {
      out += c;
      continue;
    }
    out += '%';
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> uri_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit(text[i + 1]), low = digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// S3 encodes the object's name once; every other service encodes what is on the wire once more.
std::optional<std::string> canonical_path(std::string_view path, bool s3) {
  if (!s3) return uri_encode(path, true);
  const auto decoded = uri_decode(path);
  if (!decoded) return std::nullopt;
  return uri_encode(*decoded, true);
}

std::optional<std::string> canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& part : split(query, '&')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const auto key = uri_decode(std::string_view(part).substr(0, equals));
    const auto value = equals == std::string::npos ? std::optional<std::string>("")
                                                   : uri_decode(std::string_view(part).substr(equals + 1));
    if (!key || !value) return std::nullopt;
    pairs.emplace_back(uri_encode(*key, false), uri_encode(*value, false));
  }
  std::ranges::sort(pairs);
  std::string out;
  for (const auto& [key, value] : pairs) out += (out.empty() ? "" : "&") + key + "=" + value;
  return out;
}

// Without blanks at the ends, runs of them as one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view in_key_id = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr std::string_view in_scope = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr std::string_view in_name = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
constexpr std::string_view numerals = "0123456789";

// How often and with what a header is there.
std::pair<std::size_t, std::string_view> find(const lane::Headers& headers, std::string_view name) {
  std::size_t count = 0;
  std::string_view value;
  for (const auto& [each, text] : headers) {
    if (each != name) continue;
    ++count;
    value = text;
  }
  return {count, value};
}

bool is_time(std::string_view text) {
  return text.size() == 16 && all_of(text.substr(0, 8), numerals) && text[8] == 'T' &&
         all_of(text.substr(9, 6), numerals) && text[15] == 'Z';
}

}  // namespace

tl::expected<Authorization, std::string> parse(std::string_view value) {
  const std::size_t blank = value.find(' ');
  const std::string_view scheme = value.substr(0, blank);
  if (scheme == "AWS4-ECDSA-P256-SHA256") {
    return tl::unexpected(
        "it is signed by Version 4A, for several regions at once, which can't be exchanged; use the address of one "
        "region (AWS_SIGV4A_SIGNING_REGION_SET unset, no multi-region access point)"s);
  }
  if (scheme == "AWS") return tl::unexpected("it is signed by Version 2; set signature_version = s3v4"s);
  if (scheme != algorithm || blank == std::string_view::npos) {
    return tl::unexpected("it is no AWS4-HMAC-SHA256 signature"s);
  }
  Authorization out;
  bool credential = false, headers = false, signature = false;
  for (const std::string& each : split(value.substr(blank + 1), ',')) {
    const std::string_view part = trim_blanks(each);
    const std::size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    const std::string_view text = equals == std::string_view::npos ? ""sv : part.substr(equals + 1);
    if (key == "Credential" && !std::exchange(credential, true)) {
      const std::vector<std::string> scope = split(text, '/');
      if (scope.size() != 5 || !all_of(scope[0], in_key_id) || scope[1].size() != 8 || !all_of(scope[1], numerals) ||
          !all_of(scope[2], in_scope) || !all_of(scope[3], in_scope) || scope[4] != "aws4_request") {
        return tl::unexpected("its Credential is malformed"s);
      }
      out.key_id = scope[0];
      out.date = scope[1];
      out.region = scope[2];
      out.service = scope[3];
    } else if (key == "SignedHeaders" && !std::exchange(headers, true)) {
      out.signed_headers = split(text, ';');
      const auto fit = [](const std::string& name) { return all_of(name, in_name); };
      if (out.signed_headers.size() > max_signed_headers || !std::ranges::all_of(out.signed_headers, fit) ||
          std::ranges::adjacent_find(out.signed_headers, std::greater_equal<>()) != out.signed_headers.end()) {
        return tl::unexpected("its SignedHeaders are malformed"s);
      }
    } else if (key == "Signature" && !std::exchange(signature, true)) {
      if (!is_sha256_hex(text)) return tl::unexpected("its Signature is malformed"s);
      out.signature = text;
    } else {
      return tl::unexpected("it has parts nobody knows, or twice"s);
    }
  }
  if (!credential || !headers || !signature) return tl::unexpected("a part of it is missing"s);
  if (!std::ranges::binary_search(out.signed_headers, "host"s)) return tl::unexpected("it does not sign the host"s);
  return out;
}

bool belongs(std::string_view name) {
  return name == "x-amz-date" || name == "x-amz-content-sha256";
}

std::optional<Refused> judge_head(std::string_view authorization, const lane::Headers& headers, const TokenSlot& slot) {
  const auto parsed = parse(authorization);
  if (!parsed) return Refused{"foreign-credential", "the Authorization header can't be exchanged: " + parsed.error()};
  if (!equal(parsed->key_id, slot.token)) {
    return Refused{
        "foreign-credential",
        "the request is signed with another key than this session's for credential \"" + slot.credential + "\""};
  }
  if (parsed->region != slot.region || parsed->service != slot.service) {
    return Refused{"signature", "the request is signed for " + parsed->service + " in " + parsed->region +
                                    ", and credential \"" + slot.credential + "\" is for " + slot.service + " in " +
                                    slot.region + "; set AWS_REGION, or the policy's `sigv4`"};
  }
  const auto [times, time] = find(headers, "x-amz-date");
  if (times != 1 || !is_time(time) || !time.starts_with(parsed->date)) {
    return Refused{"signature", "a signed request has one X-Amz-Date header, of the day its signature is for"};
  }
  const auto [payloads, payload] = find(headers, "x-amz-content-sha256");
  if (payloads > 1) return Refused{"signature", "the request has more than one X-Amz-Content-Sha256 header"};
  if (payloads == 0 || is_sha256_hex(payload) || payload == unsigned_payload || payload == unsigned_trailer) {
    return std::nullopt;
  }
  if (payload.starts_with("STREAMING-AWS4-")) {
    return Refused{
        "signature",
        "the body is signed piece by piece, which can't be exchanged; let the client hash it as a whole or "
        "not at all (Java: chunkedEncodingEnabled(false); over https AWS's own command line does not do it)"};
  }
  return Refused{"signature", "X-Amz-Content-Sha256 is neither a hash nor a known word"};
}

std::optional<std::string> canonical_request(const Signed& request, std::string_view service) {
  const std::size_t question = request.target.find('?');
  const auto path = canonical_path(request.target.substr(0, question), service == "s3");
  const auto query =
      canonical_query(question == std::string_view::npos ? std::string_view() : request.target.substr(question + 1));
  if (!path || !query) return std::nullopt;
  std::string out = std::string(request.method) + "\n" + *path + "\n" + *query + "\n";
  std::string names;
  for (const auto& [name, value] : request.headers) {
    out += name + ":" + canonical_value(value) + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  out += "\n" + names + "\n";
  out += request.payload;
  return out;
}

std::string sign(std::string_view secret_key, std::string_view time, std::string_view region, std::string_view service,
                 std::string_view canonical) {
  const std::string_view date = time.substr(0, 8);
  const std::string scope =
      std::string(date) + "/" + std::string(region) + "/" + std::string(service) + "/aws4_request";
  std::string first = "AWS4";
  first.reserve(4 + secret_key.size());
  first += secret_key;
  std::string key = hmac(first, date);
  ::OPENSSL_cleanse(first.data(), first.size());
  for (const std::string_view step : {region, service, "aws4_request"sv}) {
    std::string next = hmac(key, step);
    ::OPENSSL_cleanse(key.data(), key.size());
    key = std::move(next);
  }
  const std::string signature =
      hex(hmac(key, std::string(algorithm) + "\n" + std::string(time) + "\n" + scope + "\n" + sha256_hex(canonical)));
  ::OPENSSL_cleanse(key.data(), key.size());
  return signature;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && all_of(text, "0123456789abcdef");
}

}  // namespace bulkhead::grant::sigv4
