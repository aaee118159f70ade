// What the workload prints, without what would act on the user's machine. Text, colours, cursor
// movement, the alternate screen, mouse and keyboard modes pass; what writes the clipboard, types
// into the terminal, prints, reads files, resizes windows or changes the terminal's encoding does
// not (attacks X18, X31). An allow-list: a sequence nobody here knows is dropped.
//
// The output is the same however the input was cut, and filtering it again changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "session/terminal/modes.h"

namespace bulkhead::session {

class OutputFilter {
 public:
  // Appends what may be shown to `out`.
  void feed(std::string_view in, std::string& out);

  // What was switched on by what passed.
  const Modes& modes() const { return modes_; }
  // Did anything pass that a terminal answers by typing?
  bool asked() const { return asked_; }

 private:
  enum class State : std::uint8_t { text, escape, escape_more, csi, osc, string, string_escape, osc_escape };
  static constexpr std::size_t max_csi = 256, max_osc = 4096;

  void byte(unsigned char c, std::string& out);
  void text(unsigned char c, std::string& out);
  void broken(std::string& out);
  bool control(unsigned char c, std::string& out);
  void escape(unsigned char c, std::string& out);
  void finish_csi(std::string& out);
  void finish_osc(std::string_view end, std::string& out);
  bool csi_passes();
  bool osc_passes();

  State state_ = State::text;
  std::string sequence_;  // the present one, from its ESC on
  bool too_long_ = false;
  std::array<char, 4> character_{};  // an unfinished UTF-8 character
  std::uint8_t have_ = 0, need_ = 0;
  bool asked_ = false;
  Modes modes_;
};

}  // namespace bulkhead::session
