// `mesclun agent`: offers this machine to a cloud; `mesclun agent pause|resume|drain|status` talk
// to the one that runs.
#pragma once

namespace mesclun::agent {

int run_agent_command(int argc, char** argv);

}  // namespace mesclun::agent
