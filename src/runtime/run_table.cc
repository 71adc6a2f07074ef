#include "runtime/run_table.h"

namespace mesclun::runtime {

Result<> make_private_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error("cannot create " + path);
}

}  // namespace mesclun::runtime
