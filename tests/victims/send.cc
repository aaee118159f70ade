// X20, D06, D07, U01: puts a marker on the network; whether it arrives is for the test to see.
// `send udp|tcp|fastopen|mptcp|multicast|dns-udp|dns-tcp ADDRESS PORT MARKER`
// Exit 0 = everything could be sent (which is no proof that it went anywhere), 10 = refused locally.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "victim.h"

namespace {

// A question for MARKER, type A. The marker is a name.
std::string dns_query(const std::string& name) {
  std::string packet("\x13\x37\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    packet += static_cast<char>(dot - at);
    packet += name.substr(at, dot - at);
    at = dot + 1;
  }
  packet.append("\0\0\1\0\1", 5);
  return packet;
}

socklen_t address_of(const std::string& text, int port, sockaddr_storage& storage) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) != 1) broken("address " + text);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<std::uint16_t>(port));
  return sizeof *v6;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1), address = argument(argc, argv, 2);
  const int port = std::atoi(argument(argc, argv, 3).c_str());
  std::string marker = argument(argc, argv, 4);
  sockaddr_storage storage{};
  const socklen_t length = address_of(address, port, storage);
  const auto* to = reinterpret_cast<const sockaddr*>(&storage);
  const bool datagram = how == "udp" || how == "dns-udp" || how == "multicast";
  const int fd = socket(storage.ss_family, datagram ? SOCK_DGRAM : SOCK_STREAM, how == "mptcp" ? 262 : 0);
  if (fd < 0) refused_errno("socket");
  const timeval limit{3, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (how.starts_with("dns")) marker = dns_query(marker);
  if (how == "dns-tcp") marker = std::string({'\0', static_cast<char>(marker.size())}) + marker;
  if (how == "multicast") {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  }
  if (datagram || how == "fastopen") {
    const int flags = how == "fastopen" ? MSG_FASTOPEN : 0;
    if (sendto(fd, marker.data(), marker.size(), flags | MSG_NOSIGNAL, to, length) < 0) refused_errno("sendto");
  } else {
    if (connect(fd, to, length) != 0) refused_errno("connect");
    if (::send(fd, marker.data(), marker.size(), MSG_NOSIGNAL) < 0) refused_errno("send");
  }
  char answer[2048];
  const ssize_t size = recv(fd, answer, sizeof answer, 0);
  worked("sent; " + std::to_string(size) + " bytes came back");
}
