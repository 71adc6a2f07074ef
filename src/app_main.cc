// The `mesclun-app` binary.
#include <unistd.h>

#include "companion/companion_command.h"

int main(int argc, char** argv) {
  return mesclun::companion::run_companion_command(argc, argv, environ);
}
