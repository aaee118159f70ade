// X31: what a terminal may be told so that it "types" or copies. `escapes answer|clipboard|title|both`
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  std::string text;
  if (how == "answer" || how == "both") text += "\x1b[c\x1b[6n\x1b]10;?\x07\x1bP$qm\x1b\\\x1b[21t";
  if (how == "clipboard" || how == "both") text += "\x1b]52;c;cGxhbnRlZC1jbGlwYm9hcmQ=\x07";
  if (how == "split") {
    // In pieces, and with the 8-bit forms and the other terminator.
    for (const char* part : {"\x1b", "]", "5", "2", ";c;cGxhbn", "RlZA==\x1b", "\\"}) {
      if (write(1, part, std::strlen(part)) < 0) broken("write");
      usleep(20000);
    }
    return 0;
  }
  if (write(1, text.data(), text.size()) < 0) broken("write");
  return 0;
}
