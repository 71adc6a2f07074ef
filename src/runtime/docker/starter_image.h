// The program of starter_main.cc, as it is put into containers.
#pragma once

#include <string_view>

namespace mesclun::runtime {

// A static executable for the machine that we were built for.
std::string_view starter_image();

}  // namespace mesclun::runtime
