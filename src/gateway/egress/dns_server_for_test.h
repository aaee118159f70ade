// A DNS server for tests, on 127.0.0.1 and a port of its own: says what the test tells it to.
#pragma once

#include <ldns/ldns.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <map>
#include <string>
#include <vector>

namespace bulkhead::egress {

class TestDns {
 public:
  explicit TestDns(boost::asio::io_context& io) : socket_(io, {boost::asio::ip::make_address("127.0.0.1"), 0}) {
    receive();
  }
  std::string address() { return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port()); }

  // name (with the trailing dot) + " A" or " AAAA" -> addresses. A known name without the type is NODATA, an
  // unknown one NXDOMAIN; "silent" names get no answer.
  std::map<std::string, std::vector<std::string>> records;
  std::vector<std::string> asked;
  bool silent_aaaa = false;

 private:
  void receive() {
    socket_.async_receive_from(boost::asio::buffer(buffer_), from_,
                               [this](boost::system::error_code ec, std::size_t n) {
                                 if (ec) return;
                                 answer(n);
                                 receive();
                               });
  }

  void answer(std::size_t size) {
    ldns_pkt* query = nullptr;
    if (ldns_wire2pkt(&query, buffer_.data(), size) != LDNS_STATUS_OK) return;
    const ldns_rr* question = ldns_rr_list_rr(ldns_pkt_question(query), 0);
    char* owner = ldns_rdf2str(ldns_rr_owner(question));
    const std::string name = owner;
    ::free(owner);
    const bool a = ldns_rr_get_type(question) == LDNS_RR_TYPE_A;
    const std::string key = name + (a ? " A" : " AAAA");
    asked.push_back(key);
    if (name.starts_with("silent") || (silent_aaaa && !a)) {
      ldns_pkt_free(query);
      return;
    }
    ldns_pkt* reply = ldns_pkt_new();
    ldns_pkt_set_id(reply, ldns_pkt_id(query));
    ldns_pkt_set_qr(reply, true);
    ldns_pkt_set_ra(reply, true);
    ldns_pkt_set_rd(reply, true);
    ldns_pkt_push_rr(reply, LDNS_SECTION_QUESTION, ldns_rr_clone(question));
    if (records.contains(key)) {
      for (const std::string& address : records[key]) {
        ldns_rr* rr = nullptr;
        const std::string text = name + " 0 IN " + (a ? "A " : "AAAA ") + address;
        if (ldns_rr_new_frm_str(&rr, text.c_str(), 0, nullptr, nullptr) == LDNS_STATUS_OK) {
          ldns_pkt_push_rr(reply, LDNS_SECTION_ANSWER, rr);
        }
      }
    } else if (!records.contains(name + " A") && !records.contains(name + " AAAA")) {
      ldns_pkt_set_rcode(reply, LDNS_RCODE_NXDOMAIN);
    }
    std::uint8_t* wire = nullptr;
    std::size_t wire_size = 0;
    if (ldns_pkt2wire(&wire, reply, &wire_size) == LDNS_STATUS_OK) {
      socket_.send_to(boost::asio::buffer(wire, wire_size), from_);
    }
    ::free(wire);
    ldns_pkt_free(reply);
    ldns_pkt_free(query);
  }

  boost::asio::ip::udp::socket socket_;
  boost::asio::ip::udp::endpoint from_;
  std::array<std::uint8_t, 2048> buffer_{};
};

}  // namespace bulkhead::egress
