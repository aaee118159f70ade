// What a workload switched on in the terminal, so that it can be switched off when the workload
// can't do it any more.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::session {

class Modes {
 public:
  // A control sequence that was shown.
  void csi(char prefix, const std::vector<int>& parameters, char between, char final);
  void escape(std::string_view sequence);
  void shifted(bool out) { shifted_ = out; }

  // The sequences that put everything back; empty where nothing is left on.
  std::string reset() const;

 private:
  void everything_off();

  std::map<int, bool> private_;  // those that differ from what a fresh terminal has
  int keyboard_pushes_ = 0;      // kitty's keyboard protocol
  bool keyboard_set_ = false, other_keys_ = false, insert_ = false, keypad_ = false;
  bool charset_ = false, shifted_ = false, margins_ = false, colours_ = false, cursor_style_ = false;
};

}  // namespace bulkhead::session
