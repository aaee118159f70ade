#include "gateway/front/dns.h"

#include <gtest/gtest.h>
#include <ldns/ldns.h>

namespace bulkhead::front {
namespace {

const auto now = TokenBucket::Clock::now();

struct Reply {
  bool dropped = false;
  int code = -1;
  std::uint16_t id = 0;
  std::vector<std::string> answers;  // type and data
  bool edns = false;
  std::size_t size = 0;
};

Reply parse(const std::string& wire) {
  Reply reply;
  reply.size = wire.size();
  if (wire.empty()) return reply.dropped = true, reply;
  ldns_pkt* packet = nullptr;
  EXPECT_EQ(LDNS_STATUS_OK, ldns_wire2pkt(&packet, reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()));
  EXPECT_TRUE(ldns_pkt_qr(packet));
  reply.code = ldns_pkt_get_rcode(packet);
  reply.id = ldns_pkt_id(packet);
  reply.edns = ldns_pkt_edns(packet);
  const ldns_rr_list* list = ldns_pkt_answer(packet);
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    char* text = ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(list, i), 0));
    reply.answers.push_back(text);
    free(text);
  }
  ldns_pkt_free(packet);
  return reply;
}

struct DnsTest : testing::Test {
  DnsTest()
      : names({.names = 16, .new_per_second = 0, .new_burst = 20}),
        dns(names, {.canonical = [](std::string_view name) -> std::optional<std::string> {
                      if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") != std::string_view::npos ||
                          name.empty())
                        return std::nullopt;
                      return std::string(name);
                    },
                    .granted = [](std::string_view name) { return name == "intranet"; },
                    .ipv6 = true,
                    .first_query = [this](std::string_view name, std::string_view) { first.emplace_back(name); }}) {}

  std::string query(const std::string& name, ldns_rr_type type, ldns_rr_class klass = LDNS_RR_CLASS_IN,
                    bool edns = false) {
    ldns_pkt* packet = ldns_pkt_query_new(ldns_dname_new_frm_str(name.c_str()), type, klass, LDNS_RD);
    ldns_pkt_set_id(packet, 0x1234);
    if (edns) ldns_pkt_set_edns_udp_size(packet, 1232);
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(LDNS_STATUS_OK, ldns_pkt2wire(&bytes, packet, &size));
    std::string wire(reinterpret_cast<const char*>(bytes), size);
    free(bytes);
    ldns_pkt_free(packet);
    return wire;
  }
  Reply ask(const std::string& name, ldns_rr_type type, ldns_rr_class klass = LDNS_RR_CLASS_IN) {
    return parse(dns.answer(query(name, type, klass), now));
  }

  NameTable names;
  std::vector<std::string> first;
  Dns dns;
};

TEST_F(DnsTest, AnyNameHasAnAddressOfItsOwn) {  // D07: answered here
  const Reply a = ask("secret.evil.com.", LDNS_RR_TYPE_A);
  EXPECT_EQ(LDNS_RCODE_NOERROR, a.code);
  EXPECT_EQ(0x1234, a.id);
  EXPECT_EQ(std::vector<std::string>{"198.18.0.1"}, a.answers);
  const Reply aaaa = ask("SECRET.evil.com.", LDNS_RR_TYPE_AAAA);
  ASSERT_EQ(1u, aaaa.answers.size());
  EXPECT_TRUE(aaaa.answers.at(0).starts_with("fd0b:1bad:face:"));
  EXPECT_EQ(std::vector<std::string>{"198.18.0.2"}, ask("other.example.", LDNS_RR_TYPE_A).answers);
  EXPECT_EQ((std::vector<std::string>{"secret.evil.com", "other.example"}), first);
}

TEST_F(DnsTest, OtherTypesExistAndAreEmpty) {
  for (const auto type :
       {LDNS_RR_TYPE_TXT, LDNS_RR_TYPE_MX, LDNS_RR_TYPE_SVCB, LDNS_RR_TYPE_HTTPS, LDNS_RR_TYPE_SRV, LDNS_RR_TYPE_ANY}) {
    const Reply reply = ask("a.example.", type);
    EXPECT_EQ(LDNS_RCODE_NOERROR, reply.code) << type;
    EXPECT_TRUE(reply.answers.empty()) << type;
  }
  EXPECT_EQ(LDNS_RCODE_NOERROR, ask("_https._tcp.a.example.", LDNS_RR_TYPE_SRV).code);
  EXPECT_EQ(0u, names.size());
}

TEST_F(DnsTest, ReverseKnowsOnlyWhatWasAsked) {
  ask("a.example.", LDNS_RR_TYPE_A);
  EXPECT_EQ(std::vector<std::string>{"a.example."}, ask("1.0.18.198.in-addr.arpa.", LDNS_RR_TYPE_PTR).answers);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("9.0.18.198.in-addr.arpa.", LDNS_RR_TYPE_PTR).code);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("8.8.8.8.in-addr.arpa.", LDNS_RR_TYPE_PTR).code);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("x.0.18.198.in-addr.arpa.", LDNS_RR_TYPE_PTR).code);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("999.0.18.198.in-addr.arpa.", LDNS_RR_TYPE_PTR).code);
  EXPECT_EQ(std::vector<std::string>{"localhost."}, ask("1.0.0.127.in-addr.arpa.", LDNS_RR_TYPE_PTR).answers);
  const std::string six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.c.a.f.d.a.b.1.b.0.d.f.ip6.arpa.";
  EXPECT_EQ(std::vector<std::string>{"a.example."}, ask(six, LDNS_RR_TYPE_PTR).answers);
}

TEST_F(DnsTest, LocalAndSingleLabelNames) {
  EXPECT_EQ(std::vector<std::string>{"127.0.0.1"}, ask("localhost.", LDNS_RR_TYPE_A).answers);
  EXPECT_EQ(std::vector<std::string>{"::1"}, ask("LocalHost.", LDNS_RR_TYPE_AAAA).answers);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("printer.", LDNS_RR_TYPE_A).code);
  EXPECT_EQ(1u, ask("intranet.", LDNS_RR_TYPE_A).answers.size());
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask("a_b.example.", LDNS_RR_TYPE_A).code);
  EXPECT_EQ(LDNS_RCODE_NXDOMAIN, ask(".", LDNS_RR_TYPE_A).code);
}

TEST_F(DnsTest, OtherClassesAndOperationsAreRefused) {
  EXPECT_EQ(LDNS_RCODE_REFUSED, ask("version.bind.", LDNS_RR_TYPE_TXT, LDNS_RR_CLASS_CH).code);
  EXPECT_EQ(LDNS_RCODE_REFUSED, ask("a.example.", LDNS_RR_TYPE_AXFR).code);
  std::string update = query("a.example.", LDNS_RR_TYPE_A);
  update[2] = static_cast<char>(update[2] | (5 << 3));
  EXPECT_EQ(LDNS_RCODE_NOTIMPL, parse(dns.answer(update, now)).code);
}

TEST_F(DnsTest, GarbageGetsAnErrorOrNothing) {
  EXPECT_TRUE(parse(dns.answer("", now)).dropped);
  EXPECT_TRUE(parse(dns.answer("short", now)).dropped);
  std::string response = query("a.example.", LDNS_RR_TYPE_A);
  response[2] = static_cast<char>(response[2] | '\x80');
  EXPECT_TRUE(parse(dns.answer(response, now)).dropped) << "an answer to an answer is a loop";
  const std::string whole = query("a.example.", LDNS_RR_TYPE_A);
  for (std::size_t n = 12; n < whole.size(); ++n) {
    EXPECT_EQ(LDNS_RCODE_FORMERR, parse(dns.answer(whole.substr(0, n), now)).code) << n;
  }
  std::string two = whole;
  two[5] = 2;
  EXPECT_EQ(LDNS_RCODE_FORMERR, parse(dns.answer(two, now)).code);
  std::string loop = whole.substr(0, 12) + std::string("\xc0\x0c\x00\x01\x00\x01", 6);  // a pointer to itself
  EXPECT_EQ(LDNS_RCODE_FORMERR, parse(dns.answer(loop, now)).code);
  EXPECT_EQ(0u, names.size());
}

TEST_F(DnsTest, LongestNameFitsADatagram) {
  const std::string label(63, 'a');
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'b') + ".";
  const Reply reply = parse(dns.answer(query(name, LDNS_RR_TYPE_AAAA, LDNS_RR_CLASS_IN, true), now));
  EXPECT_EQ(1u, reply.answers.size());
  EXPECT_TRUE(reply.edns);
  EXPECT_LE(reply.size, 512u);
}

TEST_F(DnsTest, AFloodOfNamesIsDropped) {
  int dropped = 0;
  for (int i = 0; i < 100; ++i) dropped += ask("n" + std::to_string(i) + ".example.", LDNS_RR_TYPE_A).dropped;
  EXPECT_EQ(80, dropped);
  EXPECT_EQ(16u, names.size());
}

TEST(DnsDestination, OnlyUnicastIsAnswered) {  // X35
  EXPECT_TRUE(is_unicast(Address4{8, 8, 8, 8}));
  EXPECT_TRUE(is_unicast(Address4{127, 0, 0, 53}));
  EXPECT_FALSE(is_unicast(Address4{224, 0, 0, 251}));
  EXPECT_FALSE(is_unicast(Address4{255, 255, 255, 255}));
  EXPECT_FALSE(is_unicast(Address4{0, 0, 0, 0}));
  EXPECT_FALSE(is_unicast(Address6{0xff, 0x02}));
  EXPECT_FALSE(is_unicast(Address6{}));
  EXPECT_TRUE(is_unicast(Address6{0xfd}));
}

}  // namespace
}  // namespace bulkhead::front
