// In the place of bulkhead-changes: it gets ready, records nothing, and when the session is over it breaks off, or
// (BULKHEAD_NEVER_ENDS) does not end.
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

int main() {
  constexpr int supervisor = 3;
  constexpr std::string_view ready = R"({"type":"ready"})";
  char message[65536];
  (void)!::recv(supervisor, message, sizeof message, 0);
  (void)!::send(supervisor, ready.data(), ready.size(), MSG_NOSIGNAL);
  while (::recv(supervisor, message, sizeof message, 0) > 0) {
  }
#ifdef BULKHEAD_NEVER_ENDS
  for (;;) ::pause();
#endif
  return 1;
}
