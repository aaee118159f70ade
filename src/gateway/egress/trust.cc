#include "gateway/egress/trust.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/sys.h"
#include "gateway/egress/limits.h"

namespace bulkhead::egress {
namespace {

struct Free {
  void operator()(BIO* p) const { ::BIO_free(p); }
  void operator()(OCSP_RESPONSE* p) const { ::OCSP_RESPONSE_free(p); }
  void operator()(OCSP_BASICRESP* p) const { ::OCSP_BASICRESP_free(p); }
  void operator()(STACK_OF(X509_INFO) * p) const { ::sk_X509_INFO_pop_free(p, ::X509_INFO_free); }
};

std::string openssl_error(std::string_view what) {
  const unsigned long code = ::ERR_get_error();
  const char* reason = ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return std::string(what) + ": " + (reason != nullptr ? reason : "unknown error");
}

// With CRL checking on, a CA that has no CRL here is the normal case and stays trusted; one that has a CRL is held
// to it, an expired CRL included.
int allow_missing_crl(int ok, X509_STORE_CTX* store) {
  if (ok == 0 && ::X509_STORE_CTX_get_error(store) == X509_V_ERR_UNABLE_TO_GET_CRL) {
    ::X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  return ok;
}

// Adds what the PEM file holds to the store; returns the number of certificates.
Result<int> add_pem(X509_STORE* store, int fd, std::string_view name) {
  if (::lseek(fd, 0, SEEK_SET) < 0) return fail_errno("lseek", name, errno);
  BH_TRY(const std::string text, sys::read_all(fd, max_ca_file, name));
  const std::unique_ptr<BIO, Free> bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const std::unique_ptr<STACK_OF(X509_INFO), Free> infos(
      bio ? ::PEM_X509_INFO_read_bio(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!infos) return fail(openssl_error(std::string(name) + " is no PEM file of certificates"));
  int certificates = 0;
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    const X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
    if (info->x509 != nullptr && ::X509_STORE_add_cert(store, info->x509) == 1) ++certificates;
    if (info->crl != nullptr) {
      if (::X509_STORE_add_crl(store, info->crl) != 1) return fail(openssl_error(std::string(name) + ": CRL"));
      ::X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
  }
  ::ERR_clear_error();
  return certificates;
}

// For ALPN: h2, then http/1.1, each behind its length.
constexpr std::array<unsigned char, 12> both{2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

}  // namespace

Trust::Trust(UniqueFd ca_bundle, std::vector<UniqueFd> upstream_ca)
    : ca_bundle_(std::move(ca_bundle)), upstream_ca_(std::move(upstream_ca)) {}

Trust::~Trust() {
  ::SSL_CTX_free(context_);
}

Result<void> Trust::load() {
  if (context_ != nullptr) return {};
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(::SSL_CTX_new(::TLS_client_method()), &::SSL_CTX_free);
  if (!context) return fail(openssl_error("SSL_CTX_new"));
  ::SSL_CTX_set_security_level(context.get(), 2);
  if (::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      ::SSL_CTX_set_alpn_protos(context.get(), both.data(), both.size()) != 0 ||
      ::SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp) != 1) {
    return fail(openssl_error("TLS settings"));
  }
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  ::SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // One read(2) for several records instead of two for each.
  ::SSL_CTX_set_read_ahead(context.get(), 1);
  ::SSL_CTX_set_default_read_buffer_len(context.get(), transfer / 2);
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, &allow_missing_crl);

  X509_STORE* store = ::SSL_CTX_get_cert_store(context.get());
  int certificates = 0;
  if (ca_bundle_) {
    BH_TRY(const int found, add_pem(store, ca_bundle_.get(), "the system's CA bundle"));
    certificates += found;
  }
  for (const UniqueFd& file : upstream_ca_) {
    BH_TRY(const int found, add_pem(store, file.get(), "upstream_ca"));
    certificates += found;
  }
  if (certificates == 0)
    return fail("no CA certificate is known; install ca-certificates, or name a file as upstream_ca");
  ca_bundle_.reset();
  upstream_ca_.clear();
  ::SSL_CTX_up_ref(context.get());
  context_ = context.get();
  return {};
}

Result<std::unique_ptr<SSL, Trust::FreeSsl>> Trust::client(const std::string& host, bool literal, bool only_http1) {
  BH_CHECK(load());
  std::unique_ptr<SSL, FreeSsl> ssl(::SSL_new(context_));
  if (!ssl) return fail(openssl_error("SSL_new"));
  X509_VERIFY_PARAM* param = ::SSL_get0_param(ssl.get());
  ::X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  // An empty name would switch the check off (X509_VERIFY_PARAM_set1_host(3)).
  bool ok = !host.empty();
  if (literal) {
    ok = ok && ::X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  } else {
    ok = ok && ::X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1 &&
         ::SSL_set_tlsext_host_name(ssl.get(), const_cast<char*>(host.c_str())) == 1;
  }
  ok = ok && (!only_http1 || ::SSL_set_alpn_protos(ssl.get(), both.data() + 3, both.size() - 3) == 0);
  if (!ok) return fail(openssl_error("TLS set-up for \"" + host + "\""));
  ::SSL_set_connect_state(ssl.get());
  return ssl;
}

std::string_view protocol_of(SSL* ssl) {
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  ::SSL_get0_alpn_selected(ssl, &protocol, &size);
  return {reinterpret_cast<const char*>(protocol), size};
}

std::string refusal_after_handshake(SSL* ssl) {
  const std::string_view protocol = protocol_of(ssl);
  if (!protocol.empty() && protocol != "http/1.1" && protocol != "h2") {
    return "the server chose a protocol that was not offered";
  }
  const unsigned char* staple = nullptr;
  // SSL_get_tlsext_status_ocsp_resp() is a macro with a C cast and no const.
  const long size = ::SSL_ctrl(ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP, 0, static_cast<void*>(&staple));
  if (staple == nullptr || size <= 0) return {};
  const std::unique_ptr<OCSP_RESPONSE, Free> response(::d2i_OCSP_RESPONSE(nullptr, &staple, size));
  const std::unique_ptr<OCSP_BASICRESP, Free> basic(response && ::OCSP_response_status(response.get()) ==
                                                                    OCSP_RESPONSE_STATUS_SUCCESSFUL
                                                        ? ::OCSP_response_get1_basic(response.get())
                                                        : nullptr);
  ::ERR_clear_error();
  if (!basic) return {};  // "try later" and kin say nothing
  // Only the bad news is used, so the signature need not be checked: a server that staples a forged "revoked"
  // about itself loses nothing but its own visitors.
  const STACK_OF(X509)* chain = ::SSL_get0_verified_chain(ssl);
  for (int i = 0; i < ::OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* single = ::OCSP_resp_get0(basic.get(), i);
    if (::OCSP_single_get0_status(single, nullptr, nullptr, nullptr, nullptr) != V_OCSP_CERTSTATUS_REVOKED) continue;
    const ASN1_INTEGER* serial = nullptr;
    ::OCSP_id_get0_info(nullptr, nullptr, nullptr, const_cast<ASN1_INTEGER**>(&serial),
                        const_cast<OCSP_CERTID*>(::OCSP_SINGLERESP_get0_id(single)));
    for (int c = 0; c < sk_X509_num(chain); ++c) {
      if (::ASN1_INTEGER_cmp(serial, ::X509_get0_serialNumber(sk_X509_value(chain, c))) == 0) {
        return "the stapled OCSP answer says that the certificate is revoked";
      }
    }
  }
  return {};
}

std::string tls_error(SSL* ssl, std::string_view what) {
  const long verified = ::SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) {
    ::ERR_clear_error();
    return ::X509_verify_cert_error_string(verified);
  }
  return openssl_error(what);
}

}  // namespace bulkhead::egress
