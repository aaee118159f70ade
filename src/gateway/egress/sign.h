// Requests that are signed anew (grant/sigv4.h): is what came signed with the session's own key pair, and does its body
// match? Then it goes on with a signature by the real pair. The real secret never leaves this process at all.
#pragma once

#include <openssl/evp.h>

#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "credential/secret.h"
#include "gateway/gateway.h"
#include "gateway/grant/sigv4.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

// The real key pair.
class Signer {
 public:
  static Result<Signer> make(const Secret& secret, const TokenSlot& slot);

  // Adds to `headers`, which are what goes upstream but for Host and framing, those that sign it; replaces the time and
  // the session token. `payload`: the body's hash or AWS's word in its place.
  void sign(lane::Headers& headers, std::string_view method, std::string_view host, std::string_view target,
            std::string_view payload, std::time_t now) const;

  const TokenSlot& slot() const { return slot_; }

 private:
  TokenSlot slot_;
  Secret key_id_, key_, session_;
};

// One request as front sent it.
class Incoming {
 public:
  // Before its headers are reduced to what goes upstream.
  explicit Incoming(const lane::Request& request);

  // The declared hash, or word; of no body the hash of nothing; nullopt: the body has to be held to know.
  std::optional<std::string> payload() const;
  // Is it signed with the session's pair, its body having this hash? nullopt: yes.
  std::optional<lane::Failure> verify(const TokenSlot& slot, std::string_view payload) const;

 private:
  std::string method_, host_, target_;
  std::uint16_t usual_port_ = 443, port_ = 443;
  lane::BodyKind body_;
  std::uint64_t body_length_;
  lane::Headers headers_;
};

// A body against its declared hash, piece by piece. Words instead of a hash promise nothing.
class BodyHash {
 public:
  explicit BodyHash(std::string declared);
  void add(std::string_view bytes);
  // Nothing more comes. False: it is another body than was signed.
  bool matches();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
  };
  std::string declared_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

lane::Failure wrong_body();

}  // namespace bulkhead::egress
