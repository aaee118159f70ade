#include "gateway/tls/ca.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>

#include "base/random.h"

namespace bulkhead::tls {
namespace {

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using UsagePtr = std::unique_ptr<EXTENDED_KEY_USAGE, Deleter<EXTENDED_KEY_USAGE_free>>;
using ConstraintsPtr = std::unique_ptr<BASIC_CONSTRAINTS, Deleter<BASIC_CONSTRAINTS_free>>;
using BitsPtr = std::unique_ptr<ASN1_BIT_STRING, Deleter<ASN1_BIT_STRING_free>>;
using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, Deleter<ASN1_OCTET_STRING_free>>;
using AuthorityPtr = std::unique_ptr<AUTHORITY_KEYID, Deleter<AUTHORITY_KEYID_free>>;

constexpr std::size_t max_common_name = 64;                            // ub-common-name, RFC 5280 appendix A
constexpr int key_cert_sign = 5, crl_sign = 6, digital_signature = 0;  // bits of KeyUsage, RFC 5280 4.2.1.3

// Values are encoded as structures, never as OpenSSL's configuration strings: a comma in a name must stay a comma.
bool add(X509* certificate, int nid, void* value, bool critical) {
  return value != nullptr && ::X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1;
}

bool add_constraints(X509* certificate, bool ca) {
  ConstraintsPtr value(::BASIC_CONSTRAINTS_new());
  if (!value) return false;
  value->ca = ca ? 0xff : 0;
  if (ca) {
    // No intermediates: this CA signs leaves only.
    value->pathlen = ::ASN1_INTEGER_new();
    if (value->pathlen == nullptr || ::ASN1_INTEGER_set(value->pathlen, 0) != 1) return false;
  }
  return add(certificate, NID_basic_constraints, value.get(), true);
}

bool add_key_usage(X509* certificate, std::initializer_list<int> bits) {
  BitsPtr value(::ASN1_BIT_STRING_new());
  if (!value) return false;
  for (const int bit : bits) {
    if (::ASN1_BIT_STRING_set_bit(value.get(), bit, 1) != 1) return false;
  }
  return add(certificate, NID_key_usage, value.get(), true);
}

OctetsPtr key_id(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  OctetsPtr value(::ASN1_OCTET_STRING_new());
  if (!value || ::X509_pubkey_digest(certificate, ::EVP_sha256(), digest.data(), &size) != 1 ||
      ::ASN1_OCTET_STRING_set(value.get(), digest.data(), 20) != 1) {
    return nullptr;
  }
  return value;
}

bool add_authority(X509* certificate, const X509* issuer) {
  AuthorityPtr value(::AUTHORITY_KEYID_new());
  if (!value) return false;
  value->keyid = key_id(issuer).release();
  return value->keyid != nullptr && add(certificate, NID_authority_key_identifier, value.get(), false);
}

bool add_server_auth(X509* certificate) {
  UsagePtr value(::EXTENDED_KEY_USAGE_new());
  // OBJ_nid2obj gives a static object for built-in NIDs; freeing it is a no-op.
  return value && sk_ASN1_OBJECT_push(value.get(), ::OBJ_nid2obj(NID_server_auth)) > 0 &&
         add(certificate, NID_ext_key_usage, value.get(), false);
}

bool add_name(X509* certificate, const LeafName& leaf) {
  NamesPtr names(::GENERAL_NAMES_new());
  GENERAL_NAME* name = ::GENERAL_NAME_new();
  if (!names || name == nullptr || sk_GENERAL_NAME_push(names.get(), name) <= 0) {
    ::GENERAL_NAME_free(name);
    return false;
  }
  if (leaf.address) {
    ASN1_OCTET_STRING* octets = ::a2i_IPADDRESS(leaf.name.c_str());
    if (octets == nullptr) return false;
    ::GENERAL_NAME_set0_value(name, GEN_IPADD, octets);
  } else {
    ASN1_IA5STRING* text = ::ASN1_IA5STRING_new();
    if (text == nullptr || ::ASN1_STRING_set(text, leaf.name.data(), static_cast<int>(leaf.name.size())) != 1) {
      ::ASN1_IA5STRING_free(text);
      return false;
    }
    ::GENERAL_NAME_set0_value(name, GEN_DNS, text);
  }
  return add(certificate, NID_subject_alt_name, names.get(), false);
}

bool set_common_name(X509_NAME* subject, std::string_view text) {
  if (text.size() > max_common_name) text = "Bulkhead";
  return ::X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
}

bool set_serial(X509* certificate) {
  std::string bytes = random_bytes(16);
  bytes[0] = static_cast<char>((bytes[0] & 0x3f) | 0x40);  // positive and never shorter
  std::unique_ptr<BIGNUM, Deleter<BN_free>> number(
      ::BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
  return number && ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(certificate)) != nullptr;
}

// As RFC 5480 section 2 has it, for a certificate that is only written out. X509_set_pubkey comes to the same bytes by
// way of OpenSSL's encoders and decoders, which costs most of a millisecond the first time; it also gives the object an
// EVP_PKEY, which whoever verifies or serves with it needs.
bool write_public_key(X509* certificate, EVP_PKEY* key) {
  unsigned char* point = nullptr;
  const std::size_t size = ::EVP_PKEY_get1_encoded_public_key(key, &point);
  if (size == 0) return false;
  if (::X509_PUBKEY_set0_param(::X509_get_X509_PUBKEY(certificate), ::OBJ_nid2obj(NID_X9_62_id_ecPublicKey),
                               V_ASN1_OBJECT, ::OBJ_nid2obj(NID_X9_62_prime256v1), point,
                               static_cast<int>(size)) == 1) {
    return true;
  }
  ::OPENSSL_free(point);
  return false;
}

// Everything a CA and a leaf have in common.
CertificatePtr blank(std::string_view common_name, std::time_t from, std::time_t until) {
  CertificatePtr certificate(::X509_new());
  if (!certificate || ::X509_set_version(certificate.get(), X509_VERSION_3) != 1 || !set_serial(certificate.get()) ||
      ::ASN1_TIME_set(::X509_getm_notBefore(certificate.get()), from) == nullptr ||
      ::ASN1_TIME_set(::X509_getm_notAfter(certificate.get()), until) == nullptr ||
      !set_common_name(::X509_get_subject_name(certificate.get()), common_name)) {
    return nullptr;
  }
  return certificate;
}

}  // namespace

Result<void> SessionCa::initialise() {
  constexpr std::uint64_t options = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT;
  unsigned char byte = 0;
  // libssl's own start-up comes with the first TLS connection.
  if (::OPENSSL_init_crypto(options, nullptr) != 1 || ::RAND_bytes(&byte, 1) != 1) return openssl_error("OpenSSL");
  return {};
}

Result<SessionCa> SessionCa::make(std::string_view session, std::time_t now) {
  const auto generate = [] { return KeyPtr(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); };
  KeyPtr key = generate();
  KeyPtr leaf_key = generate();
  if (!key || !leaf_key) return openssl_error("the session CA's key");
  const std::string name = "Bulkhead session " + std::string(session);
  CertificatePtr certificate = blank(name, now - clock_skew, now + ca_lifetime);
  X509* x = certificate.get();
  OctetsPtr id = certificate && write_public_key(x, key.get()) ? key_id(x) : nullptr;
  if (!id || ::X509_set_issuer_name(x, ::X509_get_subject_name(x)) != 1 || !add_constraints(x, true) ||
      !add_key_usage(x, {key_cert_sign, crl_sign}) || !add(x, NID_subject_key_identifier, id.get(), false) ||
      ::X509_sign(x, key.get(), ::EVP_sha256()) == 0) {
    return openssl_error("the session CA's certificate");
  }
  return SessionCa(std::move(key), std::move(certificate), std::move(leaf_key));
}

Result<CertificatePtr> SessionCa::mint(const LeafName& name, std::time_t now) const {
  CertificatePtr certificate = blank(name.name, now - clock_skew, now + leaf_lifetime);
  X509* x = certificate.get();
  if (!certificate || ::X509_set_pubkey(x, leaf_key_.get()) != 1 ||
      ::X509_set_issuer_name(x, ::X509_get_subject_name(certificate_.get())) != 1 || !add_constraints(x, false) ||
      !add_key_usage(x, {digital_signature}) || !add_server_auth(x) || !add_name(x, name) ||
      !add_authority(x, certificate_.get()) || ::X509_sign(x, key_.get(), ::EVP_sha256()) == 0) {
    return openssl_error("a certificate for " + name.name);
  }
  return certificate;
}

Result<std::string> SessionCa::pem() const {
  BioPtr memory(::BIO_new(::BIO_s_mem()));
  if (!memory || ::PEM_write_bio_X509(memory.get(), certificate_.get()) != 1) return openssl_error("PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> SessionCa::der() const {
  const int size = ::i2d_X509(certificate_.get(), nullptr);
  if (size <= 0) return openssl_error("DER");
  std::string bytes(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(bytes.data());
  if (::i2d_X509(certificate_.get(), &out) != size) return openssl_error("DER");
  return bytes;
}

}  // namespace bulkhead::tls
