// bulkhead-init: the first program of a virtual machine (init.h).
#include "guest/init.h"

int main() {
  return bulkhead::shim::run_init();
}
