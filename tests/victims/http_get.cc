// U02, D09 and the Go-style static binary: an HTTP client that knows nothing of proxies, libc's resolver, or
// anybody's settings. `http_get HOST PATH [ADDRESS]`: without ADDRESS it asks the first nameserver in
// /etc/resolv.conf itself. Exit 0 = a 200 came back, 10 = anything else; the answer is on stdout.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <fstream>

#include "victim.h"

namespace {

sockaddr_in address_of(const std::string& text, int port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, text.c_str(), &made.sin_addr) != 1) broken("address " + text);
  return made;
}

std::string nameserver() {
  std::ifstream file("/etc/resolv.conf");
  std::string word;
  while (file >> word) {
    if (word == "nameserver" && file >> word) return word;
  }
  return "127.0.0.1";
}

std::string resolve(const std::string& host) {
  std::string query("\x13\x37\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  for (std::size_t at = 0; at <= host.size();) {
    const std::size_t dot = std::min(host.find('.', at), host.size());
    query += static_cast<char>(dot - at);
    query += host.substr(at, dot - at);
    at = dot + 1;
  }
  query.append("\0\0\1\0\1", 5);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const timeval limit{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const sockaddr_in server = address_of(nameserver(), 53);
  sendto(fd, query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&server), sizeof server);
  unsigned char reply[2048];
  const ssize_t size = recv(fd, reply, sizeof reply, 0);
  close(fd);
  if (size < 12 || reply[7] == 0) refused("no address for " + host);
  // The last four bytes of a single A record are the address.
  std::size_t at = query.size();
  while (at + 12 <= static_cast<std::size_t>(size)) {
    const int type = reply[at + 2] << 8 | reply[at + 3], length = reply[at + 10] << 8 | reply[at + 11];
    if (type == 1 && length == 4) {
      char text[INET_ADDRSTRLEN];
      return inet_ntop(AF_INET, reply + at + 12, text, sizeof text);
    }
    at += 12 + static_cast<std::size_t>(length);
  }
  refused("no A record for " + host);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string host = argument(argc, argv, 1), path = argument(argc, argv, 2);
  const sockaddr_in server = address_of(argc > 3 ? argv[3] : resolve(host), 80);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const timeval limit{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) refused_errno("connect");
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
  if (write(fd, request.data(), request.size()) < 0) refused_errno("write");
  std::string answer;
  char part[4096];
  ssize_t size = 0;
  while ((size = read(fd, part, sizeof part)) > 0) answer.append(part, static_cast<std::size_t>(size));
  std::fputs(answer.c_str(), stdout);
  if (answer.find(" 200 ") == 8) worked("200");
  refused(answer.substr(0, answer.find('\r')));
}
