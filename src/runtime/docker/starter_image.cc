#include "runtime/docker/starter_image.h"

// MESCLUN_STARTER is the path of the program; so one installed file is enough.
asm(R"(
  .section .rodata
  .global mesclun_starter_begin
  .global mesclun_starter_end
mesclun_starter_begin:
  .incbin ")" MESCLUN_STARTER R"("
mesclun_starter_end:
  .previous
)");

extern "C" const char mesclun_starter_begin[];
extern "C" const char mesclun_starter_end[];

namespace mesclun::runtime {

std::string_view starter_image() {
  return {mesclun_starter_begin, mesclun_starter_end};
}

}  // namespace mesclun::runtime
