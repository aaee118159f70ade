// The body of a push over git's smart HTTP (gitprotocol-pack(5), "Pushing Data To a Server"; gitprotocol-http(5)):
//
//   [shallow ID]…  OLD NEW REF NUL CAPABILITIES  [OLD NEW REF]…  0000  [push option… 0000]  [pack]
//
// Judged as it comes: all that says what is to happen to which ref stands before the pack, so nothing of the body needs
// to go up before it is judged, and the pack itself need not be held. Refused: a ref the rules don't name, a deletion
// they don't allow, push options they don't list, signed pushes (their commands stand in a certificate), capabilities
// nobody knows (they could mean another form), and whatever git itself would not write.
//
// What can't be seen: whether an update rewinds a branch (a forced push looks like any other), and what is in the pack.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "gateway/grant/pkt_line.h"
#include "policy/policy.h"

namespace bulkhead::grant {

inline constexpr std::size_t max_push_commands = 1024 * 1024;  // bytes before the pack
inline constexpr std::size_t max_push_refs = 4096;

class PushJudge {
 public:
  // `rules` outlive the judge.
  explicit PushJudge(const GitRules& rules) : rules_(rules) {}

  enum class State {
    judging,  // hold what was fed, and feed more
    pack,     // allowed; what was fed and whatever follows may go up
    refused,  // why() says why
  };

  // More of the body, in any pieces.
  State feed(std::string_view bytes);
  // The body ends here. `judging` is then `pack` or `refused`.
  State finish();
  State state() const { return state_; }

  // One line that is safe to print.
  const std::string& why() const { return why_; }

 private:
  enum class Part { shallow, commands, options, pack, nothing };

  State refuse(std::string why);
  State advance();
  bool take(const PktLine& line);
  bool end_of_commands();
  bool take_shallow(std::string_view line);
  bool take_command(std::string_view line);
  bool take_capabilities(std::string_view list);
  bool take_option(std::string_view option);
  bool is_id(std::string_view text);

  const GitRules& rules_;
  State state_ = State::judging;
  Part part_ = Part::shallow;
  std::string held_;         // what no whole pkt-line has come of yet
  std::size_t read_ = 0;     // bytes of pkt-lines so far
  std::size_t id_size_ = 0;  // hex digits of an object's name, once one has come
  std::set<std::string, std::less<>> refs_;
  bool writes_ = false;  // a ref gets a new value, so a pack follows
  bool has_options_ = false, has_shallow_ = false;
  std::string why_;
};

}  // namespace bulkhead::grant
