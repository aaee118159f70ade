// X20, U01: socket families beyond TCP, UDP and UNIX. `families NAME`: whether such a socket can be had at all.
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string name = argument(argc, argv, 1);
  if (name == "vsock") judge(socket(AF_VSOCK, SOCK_STREAM, 0), name);
  if (name == "packet") judge(socket(AF_PACKET, SOCK_RAW, 0), name);
  if (name == "raw") judge(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), name);
  if (name == "raw6") judge(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), name);
  if (name == "ping") judge(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), name);
  if (name == "sctp") judge(socket(AF_INET, SOCK_STREAM, 132), name);
  if (name == "mptcp") judge(socket(AF_INET, SOCK_STREAM, 262), name);
  if (name == "netfilter") judge(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), name);
  if (name == "uevent") judge(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT), name);
  if (name == "alg") judge(socket(AF_ALG, SOCK_SEQPACKET, 0), name);
  if (name == "xdp") judge(socket(44, SOCK_RAW, 0), name);
  if (name == "bluetooth") judge(socket(AF_BLUETOOTH, SOCK_RAW, 1), name);
  broken(name);
}
