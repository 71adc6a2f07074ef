// The walls around a run: namespaces of its own, with a loopback network that has the metadata
// service's address. For single-threaded processes (the shim) only.
#pragma once

#include "base/file.h"
#include "runtime/walls/isolation.h"

namespace mesclun::runtime {

inline constexpr const char* kMetadataAddress = "169.254.169.254";
inline constexpr uint16_t kMetadataPort = 80;

// Puts the calling process into new namespaces; with `network`, loopback is up and has
// 169.254.169.254; with `processes`, /dev/shm is its own and holds at most `shared_memory_bytes`.
// Children forked from now on are in the new process namespace, the caller is not; the first child
// is its init (run_init below). Not to be undone. PermissionDenied says what the machine refused.
Result<> enter_isolation(Isolation isolation, const std::string& hostname,
                         int64_t shared_memory_bytes);

// The first process of a process namespace: mounts its /proc, collects orphans, and ends when
// `lifeline` ends, which ends everything in the namespace. Writes "+" to `ready`, or what is wrong.
[[noreturn]] void run_init(Descriptor lifeline, Descriptor ready);

// A TCP socket of the caller's network that listens there; port 0: the system's choice.
Result<Descriptor> listen_tcp(const char* address, uint16_t port);
// The port that the system chose.
uint16_t local_port(int descriptor);

}  // namespace mesclun::runtime
