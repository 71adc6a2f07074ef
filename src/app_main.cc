// The `mesclun-app` binary.
#include <unistd.h>

#include "base/standard_output.h"
#include "companion/companion_command.h"

int main(int argc, char** argv) {
  return mesclun::with_output_written("mesclun-app", [&] {
    return mesclun::companion::run_companion_command(argc, argv, environ);
  });
}
