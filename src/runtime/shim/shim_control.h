// What agent and shim say to each other: one JSON request, one JSON answer, over a SEQPACKET socket
// `control` in the run's folder. A connection may carry several requests, one after the other.
#pragma once

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

enum class ShimVerb {
  Start,     // runs the application; answered when it runs or could not be started (then it ends)
  Stop,      // SIGTERM, after `limit_ms` SIGKILL; answered at once
  Sockets,   // `count` TCP sockets of the run's network, of `family`, as descriptors
  Metadata,  // the socket that listens for the metadata service, as a descriptor
  Services,  // those that listen at the service ports, in their order
  Egress,    // sets up eth0 with `address` and the route over `gateway`
  Exec,      // runs `command`; answered when it ended; ends with the connection
  Attach,    // runs `command` for somebody: the connection is its guard's from then on
             // (exec_guard.h). Without `tty` the command's three ends come as descriptors. A JSON
             // answer is a refusal.
};

struct ShimRequest {
  ShimVerb verb = ShimVerb::Start;
  std::vector<std::string> command;
  int64_t limit_ms = 0;
  int32_t family = 0;
  int32_t count = 0;
  std::string address;
  std::string gateway;
  bool tty = false;
  int32_t rows = 0;
  int32_t columns = 0;
  std::map<std::string, std::string> environment;  // over that of the run
};
BOOST_DESCRIBE_STRUCT(ShimRequest, (),
                      (verb, command, limit_ms, family, count, address, gateway, tty, rows, columns,
                       environment))
// Absent from what older agents ask.
constexpr bool json_has_default(const ShimRequest*, std::string_view member) {
  return member == "tty" || member == "rows" || member == "columns";
}

struct ShimReply {
  std::string error;       // empty: done
  std::string error_code;  // an ErrorCode's name
  int64_t start_time = 0;  // Start: unix ns, 0 if it could not be started
  int32_t exit_code = 0;   // Exec
  bool timed_out = false;  // Exec
};
BOOST_DESCRIBE_STRUCT(ShimReply, (), (error, error_code, start_time, exit_code, timed_out))

inline constexpr size_t kControlMessageBytesMax = 128 * 1024;
inline constexpr size_t kControlDescriptorsMax = 16;

// One message with descriptors. The socket does not block: Unavailable when the peer does not read.
Result<> send_message(int socket, std::string_view text, std::span<const int> descriptors = {});

struct ControlMessage {
  std::string text;  // empty: the peer has closed
  std::vector<Descriptor> descriptors;
};
// Nothing if none has come yet.
Result<std::optional<ControlMessage>> receive_message(int socket);

// The shim's end, in its current folder.
Result<Descriptor> listen_control();
// The agent's end; the socket does not block. Unavailable: no shim; ResourceExhausted: a busy one,
// try again.
Result<Descriptor> connect_control(const std::string& run_folder);

}  // namespace mesclun::runtime

template <>
struct mesclun::JsonEnum<mesclun::runtime::ShimVerb> {
  using enum mesclun::runtime::ShimVerb;
  static constexpr std::pair<mesclun::runtime::ShimVerb, std::string_view> kNames[] = {
      {Start, "start"},       {Stop, "stop"},     {Sockets, "sockets"}, {Metadata, "metadata"},
      {Services, "services"}, {Egress, "egress"}, {Exec, "exec"},       {Attach, "attach"}};
};
