// What a workload switched on in the terminal, so that it can be switched off when the workload can't do it any more.
// Where terminals differ, what may be on counts as on: switching it off once more does no harm.
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
  void shifted(bool out) { look_.shifted = out; }

  // The sequences that put everything back; empty where nothing is left on.
  std::string reset() const;

  // Does this private mode make the terminal type by itself: mouse, focus, size, colour scheme?
  static bool types(int mode);
  // The sequences that switch those of them off that are on, for somebody else's turn, and on again.
  std::string typing(bool on) const;

  // An empty screen on which text appears as it is written and keys come as they are typed, whatever was on; and back.
  // The alternate screen in front of the main one, which then is as it was. Where the workload has taken that one it is
  // cleared: then it has to draw again (redraws()).
  std::string set_aside() const;
  std::string take_up() const;
  bool redraws() const { return alternate(); }

 private:
  // What saving and restoring the cursor saves and restores (DECSC).
  struct Look {
    bool colours = false, charset = false, shifted = false;
    void add(const Look& other);
  };
  struct Keyboard {  // kitty's protocol; each screen has its own
    int pushes = 0;
    bool set = false;
    std::string reset() const;
    bool used() const { return pushes > 0 || set; }
  };

  void private_mode(int mode, char final);
  void soft_reset();
  void save() { saved_.add(look_); }
  void restore() { look_.add(saved_); }
  bool alternate() const;
  bool speaks_kitty() const { return main_.used() || other_.used(); }

  std::map<int, bool> private_;  // those that differ from what a fresh terminal has
  Keyboard main_, other_;
  std::map<int, int> key_options_;  // xterm's modifyOtherKeys and its like
  bool insert_ = false, keypad_ = false, margins_ = false, cursor_style_ = false;
  Look look_, saved_;
};

}  // namespace bulkhead::session
