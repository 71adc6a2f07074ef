#include "api/exec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun::api;
  const auto control = read_exec_control({reinterpret_cast<const char*>(data), size});
  if (control && !read_exec_control(write_exec_control(*control))) __builtin_trap();
  return 0;
}
