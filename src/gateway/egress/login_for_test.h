// Logins as tests and fuzz targets make them up.
#pragma once

#include <string>

#include "gateway/gateway.h"

namespace bulkhead::egress {

// `access` and `refresh`: where in the login's file its tokens stand.
inline Login login_with(const std::string& access, const std::string& refresh, bool jwt = false) {
  Login out;
  out.access = access;
  out.refresh = refresh;
  if (jwt) out.id = "id";
  if (jwt) out.claims = {"plan"};
  return out;
}

// `token` and `refresh`: what the workload holds.
inline TokenSlot login_slot(const std::string& token, const std::string& refresh, bool jwt = false) {
  TokenSlot out;
  out.credential = "agent";
  out.token = token;
  out.carrier = Credential::Carrier::bearer;
  out.issued = true;
  out.refresh = refresh;
  out.jwt = jwt;
  return out;
}

}  // namespace bulkhead::egress
