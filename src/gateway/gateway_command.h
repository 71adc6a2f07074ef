// `mesclun gateway`: the public side alone, beside a cloud elsewhere.
#pragma once

namespace mesclun::gateway {

int run_gateway_command(int argc, char** argv);

}  // namespace mesclun::gateway
