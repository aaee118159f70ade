// The session's certificate authority. Its key exists in front's memory only and ends with the process; its
// certificate is what the supervisor puts before the workload's tools. P-256 throughout: every client has it, a key
// and a signature cost tens of microseconds.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "gateway/tls/openssl.h"

namespace bulkhead::tls {

// What a leaf is for: a DNS name (`*.example.com` allowed) or an address literal (without brackets).
struct LeafName {
  std::string name;
  bool address = false;
  bool operator==(const LeafName&) const = default;
};

// Times are seconds since the epoch.
inline constexpr std::time_t clock_skew = 60 * 60;              // a guest's clock may be behind
inline constexpr std::time_t leaf_lifetime = 24 * 60 * 60;      // leaves.h mints again before this is over
inline constexpr std::time_t ca_lifetime = 365 * 24 * 60 * 60;  // mounted once, so it must outlive the session

class SessionCa {
 public:
  // OpenSSL's start-up without configuration files or string tables: call before confine() and before anything else
  // here. Also seeds its random generator.
  static Result<void> initialise();

  // The CA's common name contains the session's id, so two sessions' CAs never have the same subject hash by rule.
  static Result<SessionCa> make(std::string_view session, std::time_t now);

  // A certificate for `name`, signed by this CA over leaf_key(): serverAuth only, not a CA, random serial.
  Result<CertificatePtr> mint(const LeafName& name, std::time_t now) const;

  // One key for all leaves: they all end in this process, and a key per name would only cost time.
  EVP_PKEY* leaf_key() const { return leaf_key_.get(); }

  Result<std::string> pem() const;
  Result<std::string> der() const;

 private:
  SessionCa(KeyPtr key, CertificatePtr certificate, KeyPtr leaf_key)
      : key_(std::move(key)), certificate_(std::move(certificate)), leaf_key_(std::move(leaf_key)) {}

  KeyPtr key_;
  CertificatePtr certificate_;  // without an EVP_PKEY: to be written out and named, not to be verified with
  KeyPtr leaf_key_;
};

}  // namespace bulkhead::tls
