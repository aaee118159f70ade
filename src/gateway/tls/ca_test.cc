#include "gateway/tls/ca.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "gateway/tls/certificate_for_test.h"

namespace bulkhead::tls {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

// X509_verify_cert as a strict client does it.
int verify(const SessionCa& ca, X509* leaf, const std::string& host, bool address) {
  StorePtr store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), read_certificate(ca).get());
  StoreContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf, nullptr);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  if (address) {
    X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(param, host.c_str(), 0);
  }
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

SessionCa make(const std::string& session = "s1") {
  EXPECT_TRUE(SessionCa::initialise());
  return std::move(*SessionCa::make(session, time(nullptr)));
}

TEST(SessionCa, LeafVerifiesForItsNameOnly) {
  const SessionCa ca = make();
  const auto leaf = ca.mint({"api.example.com"}, time(nullptr));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(X509_V_OK, verify(ca, leaf->get(), "api.example.com", false));
  EXPECT_EQ(X509_V_ERR_HOSTNAME_MISMATCH, verify(ca, leaf->get(), "www.example.com", false));
}

TEST(SessionCa, LeafOfAnAddress) {
  const SessionCa ca = make();
  for (const std::string address : {"203.0.113.9", "2001:db8::7"}) {
    const auto leaf = ca.mint({address, true}, time(nullptr));
    ASSERT_TRUE(leaf);
    EXPECT_EQ(X509_V_OK, verify(ca, leaf->get(), address, true));
    EXPECT_EQ(X509_V_ERR_IP_ADDRESS_MISMATCH, verify(ca, leaf->get(), "203.0.113.10", true));
  }
}

TEST(SessionCa, WildcardCoversOneLabel) {
  const SessionCa ca = make();
  const auto leaf = ca.mint({"*.example.com"}, time(nullptr));
  EXPECT_EQ(X509_V_OK, verify(ca, leaf->get(), "a.example.com", false));
  EXPECT_NE(X509_V_OK, verify(ca, leaf->get(), "a.b.example.com", false));
}

TEST(SessionCa, LongNameStillGetsALeaf) {
  const SessionCa ca = make();
  const std::string name = std::string(63, 'a') + "." + std::string(63, 'b') + ".example";
  const auto leaf = ca.mint({name}, time(nullptr));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(X509_V_OK, verify(ca, leaf->get(), name, false));
}

TEST(SessionCa, ACommaIsNoSecondName) {
  const SessionCa ca = make();
  const auto leaf = ca.mint({"a.example,DNS:b.example"}, time(nullptr));
  ASSERT_TRUE(leaf);
  EXPECT_NE(X509_V_OK, verify(ca, leaf->get(), "b.example", false));
}

TEST(SessionCa, AnotherSessionsLeafIsNotTrusted) {  // T13
  const SessionCa mine = make("s1");
  const SessionCa other = make("s2");
  const auto leaf = other.mint({"api.example.com"}, time(nullptr));
  EXPECT_NE(X509_V_OK, verify(mine, leaf->get(), "api.example.com", false));
  EXPECT_NE(X509_subject_name_hash(read_certificate(mine).get()),
            X509_subject_name_hash(read_certificate(other).get()));
}

TEST(SessionCa, SerialsDifferAndValidityIsShort) {
  const SessionCa ca = make();
  const std::time_t now = time(nullptr);
  const auto one = ca.mint({"a.example"}, now);
  const auto two = ca.mint({"a.example"}, now);
  EXPECT_NE(0, ASN1_INTEGER_cmp(X509_get0_serialNumber(one->get()), X509_get0_serialNumber(two->get())));
  std::time_t end = now + leaf_lifetime + 1;
  EXPECT_LT(X509_cmp_time(X509_get0_notAfter(one->get()), &end), 0);
}

TEST(SessionCa, PemAndDerAreTheSameCertificate) {
  const SessionCa ca = make();
  const std::string pem = *ca.pem();
  std::unique_ptr<BIO, Deleter<BIO_free_all>> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CertificatePtr read(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ASSERT_TRUE(read);
  const CertificatePtr from_der = read_certificate(ca);
  ASSERT_TRUE(from_der);
  EXPECT_EQ(0, X509_cmp(from_der.get(), read.get()));
}

}  // namespace
}  // namespace bulkhead::tls
