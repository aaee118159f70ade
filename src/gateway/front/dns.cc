#include "gateway/front/dns.h"

#include <ldns/ldns.h>

#include <charconv>
#include <memory>
#include <vector>

#include "base/text.h"

namespace bulkhead::front {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Packet = std::unique_ptr<ldns_pkt, Deleter<ldns_pkt_free>>;
using Record = std::unique_ptr<ldns_rr, Deleter<ldns_rr_free>>;
using Field = std::unique_ptr<ldns_rdf, Deleter<ldns_rdf_deep_free>>;

constexpr std::size_t header_size = 12;
constexpr std::size_t max_answer = 512;
constexpr std::uint32_t ttl = 60;  // seconds

std::string wire_of(const ldns_pkt* packet) {
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (::ldns_pkt2wire(&bytes, packet, &size) != LDNS_STATUS_OK) return {};
  std::string out(reinterpret_cast<const char*>(bytes), size);
  ::free(bytes);
  return out;
}

Packet reply_to(std::uint16_t id, bool recursion_desired, ldns_pkt_rcode code) {
  Packet reply(::ldns_pkt_new());
  if (!reply) return nullptr;
  ::ldns_pkt_set_id(reply.get(), id);
  ::ldns_pkt_set_qr(reply.get(), true);
  ::ldns_pkt_set_ra(reply.get(), true);
  ::ldns_pkt_set_rd(reply.get(), recursion_desired);
  ::ldns_pkt_set_rcode(reply.get(), code);
  return reply;
}

std::string name_text(const ldns_rdf* name) {
  char* text = ::ldns_rdf2str(name);
  if (text == nullptr) return {};
  std::string out(text);
  ::free(text);
  if (!out.empty() && out.back() == '.') out.pop_back();  // the root becomes the empty name
  return out;
}

std::optional<unsigned> number(std::string_view text, int base, unsigned limit) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > limit || text.empty()) return std::nullopt;
  return value;
}

// d.c.b.a.in-addr.arpa and 32 nibbles.ip6.arpa, least significant first (RFC 1035 3.5, RFC 3596 2.5).
const std::string* reverse(const NameTable& names, const std::string& lower) {
  static const std::string localhost = "localhost";
  const std::vector<std::string> labels = split(lower, '.');
  if (labels.size() == 6 && lower.ends_with(".in-addr.arpa")) {
    Address4 address{};
    for (std::size_t i = 0; i < 4; ++i) {
      const auto part = number(labels[i], 10, 255);
      if (!part) return nullptr;
      address[3 - i] = static_cast<std::uint8_t>(*part);
    }
    return address == Address4{127, 0, 0, 1} ? &localhost : names.name_of(address);
  }
  if (labels.size() == 34 && lower.ends_with(".ip6.arpa")) {
    Address6 address{};
    for (std::size_t i = 0; i < 32; ++i) {
      const auto nibble = number(labels[i], 16, 15);
      if (!nibble) return nullptr;
      address[15 - i / 2] = static_cast<std::uint8_t>(address[15 - i / 2] | *nibble << (i % 2 == 0 ? 0 : 4));
    }
    Address6 loopback{};
    loopback[15] = 1;
    return address == loopback ? &localhost : names.name_of(address);
  }
  return nullptr;
}

bool push(ldns_pkt* reply, const ldns_rr* question, ldns_rr_type type, Field data) {
  Record record(::ldns_rr_new());
  if (!record || !data) return false;
  ::ldns_rr_set_owner(record.get(), ::ldns_rdf_clone(::ldns_rr_owner(question)));
  ::ldns_rr_set_type(record.get(), type);
  ::ldns_rr_set_class(record.get(), LDNS_RR_CLASS_IN);
  ::ldns_rr_set_ttl(record.get(), ttl);
  ::ldns_rr_push_rdf(record.get(), data.release());
  if (!::ldns_pkt_push_rr(reply, LDNS_SECTION_ANSWER, record.get())) return false;
  return record.release() != nullptr;  // the reply's now
}

template <class Bytes>
Field address_field(ldns_rdf_type type, const Bytes& bytes) {
  return Field(::ldns_rdf_new_frm_data(type, bytes.size(), bytes.data()));
}

bool is_localhost(std::string_view lower) {
  return lower == "localhost" || lower.ends_with(".localhost");
}

}  // namespace

Dns::Dns(NameTable& names, Options options) : names_(names), options_(std::move(options)) {}

std::string Dns::answer(std::string_view bytes, TokenBucket::Clock::time_point now) {
  const auto* wire = reinterpret_cast<const std::uint8_t*>(bytes.data());
  // An answer to an answer would let two servers talk for ever.
  if (bytes.size() < header_size || LDNS_QR_WIRE(wire)) return {};
  const std::uint16_t id = LDNS_ID_WIRE(wire);
  const bool desired = LDNS_RD_WIRE(wire);
  const auto refuse = [&](ldns_pkt_rcode code) {
    const Packet reply = reply_to(id, desired, code);
    return reply ? wire_of(reply.get()) : std::string();
  };
  if (LDNS_OPCODE_WIRE(wire) != LDNS_PACKET_QUERY) return refuse(LDNS_RCODE_NOTIMPL);
  if (LDNS_QDCOUNT(wire) != 1 || LDNS_ANCOUNT(wire) != 0 || LDNS_NSCOUNT(wire) != 0 || LDNS_ARCOUNT(wire) > 1) {
    return refuse(LDNS_RCODE_FORMERR);
  }
  ldns_pkt* parsed = nullptr;
  const ldns_status status = ::ldns_wire2pkt(&parsed, wire, bytes.size());
  const Packet query(status == LDNS_STATUS_OK ? parsed : nullptr);
  if (!query || ::ldns_rr_list_rr_count(::ldns_pkt_question(query.get())) != 1) return refuse(LDNS_RCODE_FORMERR);
  const ldns_rr* question = ::ldns_rr_list_rr(::ldns_pkt_question(query.get()), 0);
  const ldns_rr_type type = ::ldns_rr_get_type(question);
  if (::ldns_rr_get_class(question) != LDNS_RR_CLASS_IN) return refuse(LDNS_RCODE_REFUSED);
  if (type == LDNS_RR_TYPE_AXFR || type == LDNS_RR_TYPE_IXFR) return refuse(LDNS_RCODE_REFUSED);

  const Packet reply = reply_to(id, desired, LDNS_RCODE_NOERROR);
  ldns_rr* echo = ::ldns_rr_clone(question);
  if (!reply || echo == nullptr || !::ldns_pkt_push_rr(reply.get(), LDNS_SECTION_QUESTION, echo)) {
    ::ldns_rr_free(echo);
    return {};
  }
  if (::ldns_pkt_edns(query.get())) ::ldns_pkt_set_edns_udp_size(reply.get(), max_answer);  // RFC 6891 6.1.1
  const std::string lower = lower_ascii(name_text(::ldns_rr_owner(question)));
  const auto finish = [&](ldns_pkt_rcode code) {
    ::ldns_pkt_set_rcode(reply.get(), code);
    std::string out = wire_of(reply.get());
    return out.size() <= max_answer ? out : refuse(LDNS_RCODE_SERVFAIL);
  };

  if (type == LDNS_RR_TYPE_PTR) {
    const std::string* name = reverse(names_, lower);
    if (name == nullptr) return finish(LDNS_RCODE_NXDOMAIN);
    push(reply.get(), question, type, Field(::ldns_dname_new_frm_str(name->c_str())));
    return finish(LDNS_RCODE_NOERROR);
  }
  if (is_localhost(lower)) {  // RFC 6761 6.3
    Address6 loopback{};
    loopback[15] = 1;
    if (type == LDNS_RR_TYPE_A)
      push(reply.get(), question, type, address_field(LDNS_RDF_TYPE_A, Address4{127, 0, 0, 1}));
    if (type == LDNS_RR_TYPE_AAAA) push(reply.get(), question, type, address_field(LDNS_RDF_TYPE_AAAA, loopback));
    return finish(LDNS_RCODE_NOERROR);
  }
  const bool wants_address = type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA;
  const auto name = options_.canonical(lower);
  // SRV and TXT names have underscores and are no host names: that such a name has no records is no error.
  if (!name) return finish(wants_address ? LDNS_RCODE_NXDOMAIN : LDNS_RCODE_NOERROR);
  if (name->find('.') == std::string::npos && !options_.granted(*name)) return finish(LDNS_RCODE_NXDOMAIN);
  if (!wants_address || (type == LDNS_RR_TYPE_AAAA && !options_.ipv6)) return finish(LDNS_RCODE_NOERROR);
  const auto entry = names_.address_of(*name, now);
  if (!entry) return {};
  if (entry->is_new && options_.first_query) options_.first_query(*name, type == LDNS_RR_TYPE_A ? "A" : "AAAA");
  push(reply.get(), question, type,
       type == LDNS_RR_TYPE_A ? address_field(LDNS_RDF_TYPE_A, entry->v4)
                              : address_field(LDNS_RDF_TYPE_AAAA, entry->v6));
  return finish(LDNS_RCODE_NOERROR);
}

bool is_unicast(const Address4& address) {
  return address[0] != 0 && address[0] < 224;  // 224/4 multicast, 240/4 with 255.255.255.255
}

bool is_unicast(const Address6& address) {
  return address[0] != 0xff && address != Address6{};
}

}  // namespace bulkhead::front
