// What an agent, a gateway and the cloud say to each other, as values; encode() and decode() make
// JSON of them, session.h frames it. How a session begins and ends is in conversation.h.
//
// The session of an agent is level-triggered: the cloud says everything that should be on the node,
// the agent everything that is.
//
//   cloud                                                     agent
//                 ◄── KnownSpecs: what it needs not be told ────  a session begins
//     any change  ── Spec, each once ─────────────────────────►  keeps it
//                 ── Desired, revision n: all that should be ──►  applies it, forgets other specs
//     stores it   ◄── Report, revision n applied: all that is ──  any change
//        └── once that is durable: Acknowledge, sequence s ────►  forgets events up to s
//
// A spec is named by its group and version. Whoever answers for a node knows which specs it has:
// those that it said it knows, and those that it was sent, as far as the newest Desired names them.
//
// A newer one replaces an older one, and each side begins every session by saying all of it: so no
// message must arrive for the two to agree in the end. Only events and log lines are streams: they
// carry a sequence each; the agent keeps them until they are acknowledged and says them again.
#pragma once

#include <variant>

#include "base/json.h"

namespace mesclun::link {

inline constexpr int32_t kProtocolVersion = 1;

// Where a message stands among those that say one whole together (parts.h).
struct Part {
  int32_t index = 0;
  bool last = true;
};
BOOST_DESCRIBE_STRUCT(Part, (), (index, last))

// ---- agent and cloud ----

struct GpuFacts {
  std::string class_id;
  std::string name;
  bool pretended = false;  // said by a setting, not found by a driver; shown as such everywhere
  // As NVIDIA_VISIBLE_DEVICES names it, "GPU-8932f937-…"; empty: its number among `gpus`, from 0.
  std::string device;
  int64_t memory_mb = 0;  // 0: not known
  bool operator==(const GpuFacts&) const = default;
};
BOOST_DESCRIBE_STRUCT(GpuFacts, (), (class_id, name, pretended, device, memory_mb))

struct NodeFacts {
  std::string hostname;
  std::string agent_version;
  std::string country;    // lower-case ISO 3166-1 alpha-2
  int32_t cpu = 0;        // cores offered
  int64_t memory_mb = 0;  // offered
  int64_t storage_mb = 0;
  std::vector<GpuFacts> gpus;
  int32_t cpu_share_percent = 100;  // of each core, by setting: a slow machine for development
  std::string runtime;              // "process"
  std::vector<std::string> warnings;
  std::string gpu_driver;  // version, "570.86"; empty: not known
  std::string cuda;        // the newest that the driver supports, "12.8"; empty: not known
  bool operator==(const NodeFacts&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeFacts, (),
                      (hostname, agent_version, country, cpu, memory_mb, storage_mb, gpus,
                       cpu_share_percent, runtime, warnings, gpu_driver, cuda))

// What the machine's owner wants: Paused takes nothing new, Draining also lets go of what runs.
enum class NodeMode { Active, Paused, Draining };

// Agent to cloud, first frame of a session.
struct Hello {
  int32_t protocol = kProtocolVersion;
  std::string machine_id;   // uuid, kept in the agent's data folder
  std::string node_secret;  // proves on later sessions that it is the same machine
  std::string join_token;   // lets an unknown machine in
  NodeFacts facts;
  // Kinds of messages that it understands beyond those that every agent does: "exec". An agent that
  // does not name one never gets such a message, which would end its session.
  std::vector<std::string> understands;
};
BOOST_DESCRIBE_STRUCT(Hello, (),
                      (protocol, machine_id, node_secret, join_token, facts, understands))

// Cloud to agent, answer to Hello. A refused session gets Goodbye instead.
struct Welcome {
  int32_t heartbeat_ms = 0;           // the agent speaks at least this often
  std::vector<std::string> gateways;  // endpoints where tunnels are dialled
  std::string tunnel_ticket;          // shown to them; renewed by later Welcomes
  int64_t acknowledged = 0;           // the highest event sequence that is durable
  // The highest sequence of a LogBatch that is stored; nothing: a cloud that acknowledges none.
  std::optional<int64_t> logs_acknowledged;
};
BOOST_DESCRIBE_STRUCT(Welcome, (),
                      (heartbeat_ms, gateways, tunnel_ticket, acknowledged, logs_acknowledged))

struct Goodbye {
  std::string code;  // an ErrorCode's name
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(Goodbye, (), (code, reason))

struct GroupIdentity {
  std::string group_id;
  std::string group_name;
  std::string project_id;
  std::string project_name;
  std::string organization_id;
  std::string organization_name;
};
BOOST_DESCRIBE_STRUCT(GroupIdentity, (),
                      (group_id, group_name, project_id, project_name, organization_id,
                       organization_name))

// A group's spec is known by this: whatever a node acts upon changes with the version.
struct SpecName {
  std::string group_id;
  int32_t version = 1;
  auto operator<=>(const SpecName&) const = default;
};
BOOST_DESCRIBE_STRUCT(SpecName, (), (group_id, version))

// Cloud to agent, before the first Desired that names it.
struct Spec {
  GroupIdentity group;
  int32_t version = 1;
  json::object spec;  // the group's GroupSpec, in the shape of the create call

  SpecName name() const { return {group.group_id, version}; }
};
BOOST_DESCRIBE_STRUCT(Spec, (), (group, version, spec))

// Agent to cloud, once in a session and before the first Report: specs that it has from before.
struct KnownSpecs {
  Part part;
  std::vector<SpecName> specs;
};
BOOST_DESCRIBE_STRUCT(KnownSpecs, (), (part, specs))

enum class RunAction { Restart, Recreate };

// What is wanted of a replica on a node. Decided and stored by the cloud, told in Desired, kept by
// the agent over its restarts. The same value again asks for nothing.
struct ReplicaWish {
  int32_t version = 1;  // of the group's spec
  // A higher number than the one that runs asks for another run, with the spec of this version.
  int32_t run = 1;
  RunAction run_action = RunAction::Recreate;
  // Events "Instance Restarted" and "Instance Recreated" are only for what a user asked for.
  bool run_by_user = false;
  // Stop it, then report Ended. A replica that is missing from Desired is stopped too.
  bool stop = false;
  // Set by the REST API: taken over when `deletion_cost_change` is higher than what was seen of
  // this replica before. The metadata service may set it again later.
  int32_t deletion_cost = 0;
  int32_t deletion_cost_change = 0;
  // Other nodes that could have taken the replica when it was placed, counted up to 100: what the
  // instance may lose by asking for another one. Told to it as $MESCLUN_NODES_LEFT.
  std::optional<int32_t> nodes_left;
  // The one GPU that its runs may use, as the node told it; empty: none. Changed only together with
  // `run`.
  std::string gpu;
  bool operator==(const ReplicaWish&) const = default;
};
BOOST_DESCRIBE_STRUCT(ReplicaWish, (),
                      (version, run, run_action, run_by_user, stop, deletion_cost,
                       deletion_cost_change, nodes_left, gpu))

enum class RunState { Creating, Running, Stopping, Ended };

// What should become of a replica whose run ended.
enum class RunOutcome {
  None,       // it has not ended
  Stopped,    // as the cloud wanted
  Succeeded,  // done: exit 0 under on_failure or never
  Failed,     // done: another exit under never
  Replace,    // wants another node
};

// What a replica is. Seen and stored by the agent, told in Report, kept by the cloud as it was told
// last.
struct ReplicaStatus {
  std::string instance_id;  // of the current run
  int32_t version = 0;      // of the spec that the current run carries; 0: there was no run yet
  int32_t run = 0;          // the wish that the current run answers; 0: there was no run yet
  RunState state = RunState::Creating;
  bool started = false;
  bool ready = false;
  int32_t deletion_cost = 0;
  int32_t deletion_cost_change = 0;  // the highest of the wish that was taken over
  int64_t update_time = 0;           // unix ns, last change of state, ready or started
  RunOutcome outcome = RunOutcome::None;
  bool exclude_node = false;  // Replace: keep the group away from this node for 48 h
  bool failed = false;        // exclude_node: because it failed here, not because it asked for it
  std::string reason;         // for people; why it ended
  std::optional<int32_t> pulled_percent;  // Creating, while its image is fetched: 0 to 99
  bool operator==(const ReplicaStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(ReplicaStatus, (),
                      (instance_id, version, run, state, started, ready, deletion_cost,
                       deletion_cost_change, update_time, outcome, exclude_node, failed, reason,
                       pulled_percent))

// One replica of a group, placed on this node.
struct Assignment {
  std::string allocation_id;  // stays while the replica is on this node
  std::string instance_id;    // of the first run; later runs get ids from the agent
  std::string group_id;
  ReplicaWish wish;

  // What it needs; nothing for one that is to stop.
  std::optional<SpecName> spec() const {
    return wish.stop ? std::nullopt : std::optional(SpecName{group_id, wish.version});
  }
};
BOOST_DESCRIBE_STRUCT(Assignment, (), (allocation_id, instance_id, group_id, wish))

// Cloud to agent: all that should be on the node.
struct Desired {
  int64_t revision = 0;  // grows with every change, also over restarts of the cloud
  Part part;
  std::vector<Assignment> assignments;
};
BOOST_DESCRIBE_STRUCT(Desired, (), (revision, part, assignments))

struct InstanceReport {
  std::string allocation_id;
  ReplicaStatus status;
};
BOOST_DESCRIBE_STRUCT(InstanceReport, (), (allocation_id, status))

// One system event of lifecycle.md §3.
struct InstanceEvent {
  int64_t sequence = 0;  // of this node, from 1, kept over restarts of the agent
  std::string group_id;
  std::string instance_id;
  int32_t version = 1;
  int64_t time = 0;    // unix ns, the node's clock
  std::string name;    // exact contract string
  std::string detail;  // for people: reason, measured value, exit status
};
BOOST_DESCRIBE_STRUCT(InstanceEvent, (),
                      (sequence, group_id, instance_id, version, time, name, detail))

// Agent to cloud: all that is on the node, and with the last part events that were not said yet, as
// many as fit.
struct Report {
  int64_t revision = 0;  // of the Desired that was applied last; 0: none yet in this session
  Part part;
  NodeMode mode = NodeMode::Active;
  std::string trouble;  // why the machine can run nothing new, for people; empty: it can
  std::vector<InstanceReport> instances;
  // The node has no events between this sequence and the first of `events`. A cloud that has not
  // stored up to here (a commit failed) waits until they are said again.
  int64_t events_after = 0;
  std::vector<InstanceEvent> events;
};
BOOST_DESCRIBE_STRUCT(Report, (), (revision, part, mode, trouble, instances, events_after, events))
constexpr bool json_has_default(const Report*, std::string_view member) {
  return member == "trouble";
}

// Cloud to agent: events up to this sequence are durable.
struct Acknowledge {
  int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(Acknowledge, (), (sequence))

// Either way; proof of life when there is nothing else to say.
struct Heartbeat {
  int64_t time = 0;
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), (time))

struct LogLine {
  int64_t time = 0;    // unix ns, the node's clock
  std::string stream;  // "stdout" or "stderr"
  std::string text;
};
BOOST_DESCRIBE_STRUCT(LogLine, (), (time, stream, text))

// Agent to cloud, in order; said again, from the first that was not acknowledged, in a new session or
// when no acknowledgement comes.
struct LogBatch {
  std::string group_id;
  std::string instance_id;
  int32_t version = 1;
  int64_t dropped = 0;  // an older agent's: lines that it lost
  std::vector<LogLine> lines;
  int64_t sequence = 0;  // of this node, from 1, kept over restarts of the agent; 0: best effort
  // The node has no batches between this sequence and its own. A cloud that did not take all up to
  // here (its queue was full) waits until they are said again.
  int64_t after = 0;
};
BOOST_DESCRIBE_STRUCT(LogBatch, (),
                      (group_id, instance_id, version, dropped, lines, sequence, after))
constexpr bool json_has_default(const LogBatch*, std::string_view member) {
  return member == "sequence" || member == "after";
}

// Cloud to agent: lines of all batches up to this sequence are stored, or nobody's any more.
struct LogAcknowledge {
  int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(LogAcknowledge, (), (sequence))

// What an instance used of late, as far as who says it can know: a node cpu and memory, a gateway
// requests.
struct InstanceUsage {
  std::string instance_id;
  std::optional<double> cpu_cores;      // on average since the last time
  std::optional<int64_t> memory_bytes;  // now
  std::optional<double> requests_per_second;
  std::optional<int64_t> in_flight;  // requests, now
  bool operator==(const InstanceUsage&) const = default;
};
BOOST_DESCRIBE_STRUCT(InstanceUsage, (),
                      (instance_id, cpu_cores, memory_bytes, requests_per_second, in_flight))

struct GpuReading {
  std::string device;  // as in GpuFacts
  int64_t memory_free_mb = 0;
  bool operator==(const GpuReading&) const = default;
};
BOOST_DESCRIBE_STRUCT(GpuReading, (), (device, memory_free_mb))

// The way from the machine to an endpoint that its owner named.
struct EndpointReading {
  std::string name;
  std::optional<double> latency_ms;  // of a connection's making, the best of a few
  std::optional<double> mbit_per_s;  // of what it sent; nothing: too little to tell
  std::string problem;               // why it could not be measured, for people
  int64_t time = 0;                  // unix ns, the node's clock: when that was
  bool operator==(const EndpointReading&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointReading, (), (name, latency_ms, mbit_per_s, problem, time))

// What changes about a machine while it is there.
struct MachineReading {
  std::vector<GpuReading> gpus;
  std::vector<EndpointReading> endpoints;
  bool operator==(const MachineReading&) const = default;
};
BOOST_DESCRIBE_STRUCT(MachineReading, (), (gpus, endpoints))

// Agent or gateway to cloud, now and then, for people to see: nothing is decided by it. Of a gateway:
// instances that are not named have no requests.
struct Usage {
  Part part;
  std::vector<InstanceUsage> instances;
  std::optional<MachineReading> machine;  // of an agent; the same in every part
};
BOOST_DESCRIBE_STRUCT(Usage, (), (part, instances, machine))

// The identity token of a group on this node (imds.md §4).
struct TokenRequest {
  std::string group_id;
};
BOOST_DESCRIBE_STRUCT(TokenRequest, (), (group_id))

struct TokenReply {
  std::string group_id;
  std::string jwt;      // empty: refused, the group does not run there
  int64_t expires = 0;  // unix seconds
};
BOOST_DESCRIBE_STRUCT(TokenReply, (), (group_id, jwt, expires))

// ---- a command beside an instance (exec), agent and cloud ----
//
//   cloud                                                        agent
//     ── Open ────────────────────────────────────────────────►   starts it
//     ── Data (stdin), InputEnd, Resize, Signal ──────────────►
//     ◄── Data (stdout, stderr) ──────────────────────────────
//     ── Window: so many bytes more ──────────────────────────►   may say them
//     ◄── Window ─────────────────────────────────────────────   read so much of stdin
//     ◄── Exit, the last word ────────────────────────────────   it has ended
//     ── Close: nobody is there any more ─────────────────────►   ends it; no Exit follows
//
// Both sides begin with kExecWindowBytes. All execs of a session end with it.

// Bytes of one direction of one exec that may be under way unread.
inline constexpr int64_t kExecWindowBytes = 128 * 1024;
// In one message, before it is encoded: heartbeats pass between them.
inline constexpr size_t kExecDataBytesMax = 16 * 1024;

struct ExecOpen {
  std::string exec_id;  // chosen by the cloud
  std::string instance_id;
  std::vector<std::string> command;
  bool tty = false;
  int32_t rows = 24;
  int32_t columns = 80;
  std::map<std::string, std::string> environment;  // over that of the instance
};
BOOST_DESCRIBE_STRUCT(ExecOpen, (),
                      (exec_id, instance_id, command, tty, rows, columns, environment))

enum class ExecChannel { Input, Output, Errors };
struct ExecData {
  std::string exec_id;
  ExecChannel channel = ExecChannel::Input;
  std::string data;  // base64
};
BOOST_DESCRIBE_STRUCT(ExecData, (), (exec_id, channel, data))

struct ExecWindow {
  std::string exec_id;
  int64_t bytes = 0;  // that may be sent on top of those that were allowed before
};
BOOST_DESCRIBE_STRUCT(ExecWindow, (), (exec_id, bytes))

struct ExecInputEnd {
  std::string exec_id;
};
BOOST_DESCRIBE_STRUCT(ExecInputEnd, (), (exec_id))

struct ExecResize {
  std::string exec_id;
  int32_t rows = 24;
  int32_t columns = 80;
};
BOOST_DESCRIBE_STRUCT(ExecResize, (), (exec_id, rows, columns))

struct ExecSignal {
  std::string exec_id;
  int32_t number = 0;  // as Linux counts them
};
BOOST_DESCRIBE_STRUCT(ExecSignal, (), (exec_id, number))

struct ExecClose {
  std::string exec_id;
};
BOOST_DESCRIBE_STRUCT(ExecClose, (), (exec_id))

struct ExecExit {
  std::string exec_id;
  int32_t code = 0;
  std::string detail;      // for people
  std::string error_code;  // an ErrorCode's name: it was not begun, or is lost; else empty
};
BOOST_DESCRIBE_STRUCT(ExecExit, (), (exec_id, code, detail, error_code))

// Agent to cloud: the right to pull the image of a spec that is to run here.
struct PullRequest {
  SpecName spec;
};
BOOST_DESCRIBE_STRUCT(PullRequest, (), (spec))

// What the registry wants to be shown: nothing; a token that pulls one repository for some minutes;
// user and password, where it knows nothing less.
enum class PullKind { Nothing, Token, Password };

struct PullReply {
  SpecName spec;
  std::string refusal_code;  // an ErrorCode's name; empty: granted
  std::string refusal;       // for people
  PullKind kind = PullKind::Nothing;
  std::string registry;
  std::string user;
  std::string secret;  // token or password; never on a disk
};
BOOST_DESCRIBE_STRUCT(PullReply, (), (spec, refusal_code, refusal, kind, registry, user, secret))

// ---- gateway and cloud ----

// Gateway to cloud, first frame.
struct GatewayHello {
  int32_t protocol = kProtocolVersion;
  std::string name;
  std::string gateway_token;
  std::string tunnel_endpoint;  // where agents dial this gateway
};
BOOST_DESCRIBE_STRUCT(GatewayHello, (), (protocol, name, gateway_token, tunnel_endpoint))

struct RouteInstance {
  std::string instance_id;
  std::string machine_id;
  bool ready = false;  // running, started and ready: may take requests
  int32_t port = 0;    // 0: the route's; another one while it carries an older version
};
BOOST_DESCRIBE_STRUCT(RouteInstance, (), (instance_id, machine_id, ready, port))
constexpr bool json_has_default(const RouteInstance*, std::string_view member) {
  return member == "port";
}

// How requests for one host name are handled.
struct Route {
  std::string dns;
  std::string group_id;
  std::string organization_id;
  bool deleted = false;  // answers 410, until the route is forgotten
  bool auth = false;
  bool least_connections = false;
  bool adaptive = false;  // with least_connections, for gateways that do not know it
  bool single_connection_limit = false;
  int32_t port = 0;
  int32_t client_request_timeout_ms = 100'000;
  int32_t server_response_timeout_ms = 100'000;
  std::vector<RouteInstance> instances;
};
BOOST_DESCRIBE_STRUCT(Route, (),
                      (dns, group_id, organization_id, deleted, auth, least_connections, adaptive,
                       single_connection_limit, port, client_request_timeout_ms,
                       server_response_timeout_ms, instances))

constexpr bool json_has_default(const Route*, std::string_view member) {
  return member == "adaptive";
}

// An API key that may pass `auth` routes of these organizations.
struct RouteKey {
  std::string key_sha256;  // hexadecimal
  std::vector<std::string> organization_ids;
};
BOOST_DESCRIBE_STRUCT(RouteKey, (), (key_sha256, organization_ids))

// Cloud to gateway. A session begins with all routes and keys, in as many updates as they need; the
// last of these is complete: what none of them named is gone. From then on changes.
struct RouteUpdate {
  bool complete = false;
  std::vector<Route> routes;            // new or changed
  std::vector<std::string> hosts_gone;  // of routes that are forgotten
  std::vector<RouteKey> keys;           // new or changed
  std::vector<std::string> keys_gone;   // by key_sha256
  std::string tunnel_secret;            // in a complete update: verifies tunnel tickets
};
BOOST_DESCRIBE_STRUCT(RouteUpdate, (),
                      (complete, routes, hosts_gone, keys, keys_gone, tunnel_secret))

// Members that are new in a version are absent from what older ones say and keep.
constexpr bool json_has_default(const GpuFacts*, std::string_view member) {
  return member == "device" || member == "memory_mb";
}
constexpr bool json_has_default(const NodeFacts*, std::string_view member) {
  return member == "gpu_driver" || member == "cuda";
}
constexpr bool json_has_default(const ReplicaWish*, std::string_view member) {
  return member == "gpu";
}

using Message =
    std::variant<Hello, Welcome, Goodbye, KnownSpecs, Spec, Desired, Report, Acknowledge, Heartbeat,
                 LogBatch, TokenRequest, TokenReply, GatewayHello, RouteUpdate, Usage,
                 LogAcknowledge, ExecOpen, ExecData, ExecWindow, ExecInputEnd, ExecResize,
                 ExecSignal, ExecClose, ExecExit, PullRequest, PullReply>;

// As in the `type` member.
std::string_view message_name(const Message& message);
// {"type": "desired", ...}
std::string encode(const Message& message);
// InvalidArgument for anything that is not exactly such a message; unknown members are ignored, so
// that versions can differ by one.
Result<Message> decode(std::string_view text);

}  // namespace mesclun::link

template <>
struct mesclun::JsonEnum<mesclun::link::NodeMode> {
  using enum mesclun::link::NodeMode;
  static constexpr std::pair<mesclun::link::NodeMode, std::string_view> kNames[] = {
      {Active, "active"}, {Paused, "paused"}, {Draining, "draining"}};
};
template <>
struct mesclun::JsonEnum<mesclun::link::ExecChannel> {
  using enum mesclun::link::ExecChannel;
  static constexpr std::pair<mesclun::link::ExecChannel, std::string_view> kNames[] = {
      {Input, "stdin"}, {Output, "stdout"}, {Errors, "stderr"}};
};
template <>
struct mesclun::JsonEnum<mesclun::link::RunAction> {
  using enum mesclun::link::RunAction;
  static constexpr std::pair<mesclun::link::RunAction, std::string_view> kNames[] = {
      {Restart, "restart"}, {Recreate, "recreate"}};
};
template <>
struct mesclun::JsonEnum<mesclun::link::PullKind> {
  using enum mesclun::link::PullKind;
  static constexpr std::pair<mesclun::link::PullKind, std::string_view> kNames[] = {
      {Nothing, "nothing"}, {Token, "token"}, {Password, "password"}};
};
template <>
struct mesclun::JsonEnum<mesclun::link::RunState> {
  using enum mesclun::link::RunState;
  static constexpr std::pair<mesclun::link::RunState, std::string_view> kNames[] = {
      {Creating, "creating"}, {Running, "running"}, {Stopping, "stopping"}, {Ended, "ended"}};
};
template <>
struct mesclun::JsonEnum<mesclun::link::RunOutcome> {
  using enum mesclun::link::RunOutcome;
  static constexpr std::pair<mesclun::link::RunOutcome, std::string_view> kNames[] = {
      {None, "none"},
      {Stopped, "stopped"},
      {Succeeded, "succeeded"},
      {Failed, "failed"},
      {Replace, "replace"}};
};
