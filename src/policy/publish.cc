#include "policy/publish.h"

#include <charconv>

#include "policy/names.h"

namespace bulkhead {
namespace {

std::optional<std::uint16_t> port_from(std::string_view digits) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || digits.front() == '0') {
    return std::nullopt;
  }
  return port;
}

}  // namespace

Result<Publish> publish_from(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return fail(in_quotes(text) + ": " + why + "; write PORT, PORT:INSIDE or ADDRESS:PORT:INSIDE, like \"8080:80\"");
  };
  Publish out;
  std::string_view ports = text;
  // An address is what is no number: a port never has a dot or a bracket.
  const std::string_view first = text.substr(0, text.find(':'));
  if (text.starts_with('[')) {
    const std::size_t close = text.find("]:");
    if (close == std::string_view::npos) return bad("an IPv6 address stands in brackets, a port behind it");
    out.address = text.substr(1, close - 1);
    ports.remove_prefix(close + 2);
    if (out.address.find(':') == std::string::npos) return bad("no IPv6 address in the brackets");
  } else if (first.find('.') != std::string_view::npos) {
    if (first.size() == text.size()) return bad("there is no port");
    out.address = first;
    ports.remove_prefix(first.size() + 1);
  }
  if (out.address != "::" && !is_address(out.address)) return bad(in_quotes(out.address) + " is no address");
  const std::size_t colon = ports.find(':');
  const auto port = port_from(ports.substr(0, colon));
  const auto inside = colon == std::string_view::npos ? port : port_from(ports.substr(colon + 1));
  if (!port || !inside) return bad("a port is a number from 1 to 65535");
  out.port = *port;
  out.inside = *inside;
  return out;
}

std::string publish_text(const Publish& publish) {
  const bool v6 = publish.address.find(':') != std::string::npos;
  return (v6 ? "[" + publish.address + "]" : publish.address) + ":" + std::to_string(publish.port) + ":" +
         std::to_string(publish.inside);
}

bool is_loopback(const Publish& publish) {
  return publish.address == "::1" || publish.address.starts_with("127.");
}

}  // namespace bulkhead
