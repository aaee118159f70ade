#include <charconv>

#include "base/text.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

// SCHEME://HOST:PORT and nothing else: no password (it would stand in the policy), no path.
Result<void> load_proxy(const TableReader& reader, std::string_view url, Upstream& upstream) {
  const std::string shown = in_quotes(url);
  const auto bad = [&](const std::string& why) {
    return reader.fail_key("proxy", shown + ": " + why + "; write it like \"http://proxy.example.com:3128\"");
  };
  if (url.find('@') != std::string_view::npos) {
    // Not shown: what stands there may be the password.
    return reader.fail_key("proxy",
                           "a user or password in the address would stand in the policy: leave them out, and "
                           "name a credential with `credential`");
  }
  upstream.proxy_tls = url.starts_with("https://");
  if (!upstream.proxy_tls && !url.starts_with("http://")) return bad("a proxy is http:// or https://");
  std::string_view rest = url.substr(url.find("//") + 2);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || rest.ends_with(']')) return bad("the port is missing");
  std::string_view host = rest.substr(0, colon), digits = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), upstream.proxy_port);
  if (error != std::errc() || end != digits.data() + digits.size() || upstream.proxy_port == 0) {
    return bad("no port " + in_quotes(digits));
  }
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != std::string_view::npos)) return bad("an IPv6 address stands in brackets");
  if (host.starts_with("*")) return bad("one host");
  if (auto ok = check_host(host); !ok) return bad(ok.error().message);
  upstream.proxy_host = host;
  return {};
}

}  // namespace

Result<void> load_upstream(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[upstream]", document.file);
  BH_CHECK(reader.only({"proxy", "credential", "no_proxy", "resolve"}));
  Upstream upstream;
  BH_TRY(const auto proxy, reader.string("proxy"));
  if (!proxy) return reader.fail_table("`proxy` is missing: e.g. proxy = \"http://proxy.example.com:3128\"");
  BH_CHECK(load_proxy(reader, *proxy, upstream));
  BH_TRY(const auto credential, reader.string("credential"));
  if (credential) {
    BH_CHECK(reader.checked("credential", check_name(*credential)));
    upstream.credential = *credential;
  }
  BH_TRY(auto no_proxy, reader.strings("no_proxy"));
  for (const std::string& host : no_proxy.value_or(std::vector<std::string>{})) {
    BH_CHECK(reader.checked("no_proxy", check_host(host)));
  }
  if (no_proxy) upstream.no_proxy = std::move(*no_proxy);
  BH_TRY(const auto resolve, reader.string("resolve"));
  if (resolve && *resolve != "gateway" && *resolve != "proxy") {
    return reader.fail_key("resolve", in_quotes(*resolve) +
                                          ": \"gateway\" (egress resolves names and checks what they "
                                          "lead to) or \"proxy\" (the proxy does, unchecked)");
  }
  upstream.proxy_resolves = resolve == "proxy";
  document.upstream = std::move(upstream);
  document.origins["upstream"] = {document.layer, document.file, reader.line()};
  return {};
}

std::string proxy_url(const Upstream& upstream) {
  if (upstream.proxy_host.empty()) return {};
  const bool v6 = upstream.proxy_host.find(':') != std::string::npos;
  return (upstream.proxy_tls ? "https://" : "http://") + (v6 ? "[" + upstream.proxy_host + "]" : upstream.proxy_host) +
         ":" + std::to_string(upstream.proxy_port);
}

}  // namespace bulkhead
