// A command beside a container's application: the engine starts our own program in there, as the
// guard of the command (exec_guard.h), and nothing goes through the engine afterwards.
//
//   agent ── POST exec, detached ──► engine ── /.mesclun/start NAME ──► guard
//     └── listens at door/NAME, mounted into the container ◄── connects ──┘   then the command's pipes
//
// So signals, sizes and the exit status come the same way as with processes, and the command ends with
// the agent: an engine would let it run on.
#pragma once

#include "runtime/docker/docker_run.h"

namespace mesclun::runtime {

// As ContainerDriver::open_exec(), of a run that was started and has not ended. Unavailable also: the
// guard did not come within 20 s, as in a container that was made by an agent of before.
Task<Result<std::unique_ptr<ExecStream>>> open_docker_exec(std::shared_ptr<DockerRun> run,
                                                           Engine& engine, Clock& clock,
                                                           ExecSpec spec);

}  // namespace mesclun::runtime
