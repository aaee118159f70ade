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
  // May anything pass that makes a terminal type: questions, mouse and focus reports? Yes at first; no where what it
  // types would not be read by the session but by somebody's shell.
  void let_ask(bool may) { may_ask_ = may; }
  // Did any of that pass?
  bool asked() const { return asked_; }
  // How many of them asked for the status (CSI 5 n), which is the question drain.h asks as well.
  std::size_t status_questions() const { return status_questions_; }
  // All of it was answered.
  void answered() { asked_ = false, status_questions_ = 0; }

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
  bool ask();

  State state_ = State::text;
  std::string sequence_;  // the present one, from its ESC on
  bool too_long_ = false;
  std::array<char, 4> character_{};  // an unfinished UTF-8 character
  std::uint8_t have_ = 0, need_ = 0;
  bool asked_ = false, may_ask_ = true;
  std::size_t status_questions_ = 0;
  Modes modes_;
};

}  // namespace bulkhead::session
