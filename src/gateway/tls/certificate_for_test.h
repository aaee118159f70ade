// The session CA's certificate as those who trust it read it.
#pragma once

#include "gateway/tls/ca.h"

namespace bulkhead::tls {

inline CertificatePtr read_certificate(const SessionCa& ca) {
  const std::string der = *ca.der();
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  return CertificatePtr(::d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
}

}  // namespace bulkhead::tls
