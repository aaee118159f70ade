// One request between its head and what becomes of it: is it for this connection's authority, does a grant allow it,
// and what evidence and the person are told. The same for HTTP/1 and HTTP/2.
#pragma once

#include <optional>
#include <string>

#include "gateway/front/shared.h"
#include "gateway/grant/grant.h"
#include "gateway/http/http.h"

namespace bulkhead::front {

// Where a connection was going: getsockname(2), since every address of the room is ours.
struct Destination {
  std::string address;  // as inet_ntop(3) writes it, without brackets
  std::string name;     // the name that DNS gave this address to, or empty
  std::uint16_t port = 0;
  bool named = false;             // the client has named it to the proxy port, and may not go on to mean another
  std::string canonical() const;  // as grants name it
  std::string shown() const { return name.empty() ? address : name; }
};

// What a connection says about every request on it.
struct Arrival {
  Destination destination;
  std::string scheme = "http";                    // what it is, not what a request says
  std::optional<std::string> sni = std::nullopt;  // canonical
  bool http2 = false;
};

struct Judged {
  grant::Decision decision;
  // When allowed:
  lane::Request up;
  LanePool* pool = nullptr;
};

Judged judge(Shared& shared, const Arrival& arrival, const http::RequestHead& head);

// What the request asks for over this connection: as the connection, but for a WebSocket "wss" or "ws".
std::string scheme_of(const Arrival& arrival, const http::RequestHead& head);
// For people: escaped.
std::string url_of(const Arrival& arrival, const http::RequestHead& head);

// http.request of a request that has ended. False: evidence is gone.
struct Moved {
  std::uint16_t status = 0;
  std::uint64_t up = 0, down = 0;
  struct Messages {
    std::uint64_t up = 0, down = 0;
  };
  std::optional<Messages> messages = std::nullopt;  // of what became a WebSocket
};
bool record_request(Shared& shared, const Arrival& arrival, const http::RequestHead& head,
                    const grant::Decision& decision, const Moved& moved, Clock::time_point began);
// … that no reader takes. Also told to the person.
bool record_malformed(Shared& shared, const Arrival& arrival, const http::Refusal& refusal);
// net.refused, for a connection that ends. Also told to the person.
void record_refused(Shared& shared, const Arrival& arrival, const std::string& what, const std::string& why);

// Tells the person of a denial.
void tell_denied(Shared& shared, const Arrival& arrival, const http::RequestHead& head, const std::string& reason,
                 const std::string& text, const std::string& add);

}  // namespace bulkhead::front
