#include "client/machine_verbs.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace mesclun::client {

namespace {

std::string gpu_text(const NodeView& node) {
  std::map<std::string, int> counts;
  for (const NodeGpuView& gpu : node.gpus) {
    ++counts[gpu.name.value_or("GPU") + (gpu.pretended.value_or(false) ? " (pretended)" : "")];
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += (text.empty() ? "" : ", ") + (count > 1 ? fmt::format("{}x ", count) : "") + name;
  }
  return text;
}

void print_nodes(Session& session, const std::vector<NodeView>& nodes) {
  const WallTime now = session.clock.wall_now();
  Table table({"HOST", "MACHINE", "STATE", "COUNTRY", "CPU", "MEMORY MB", "GPU", "RUNTIME", "HEARD",
               "RUNS"});
  for (const NodeView& node : nodes) {
    table.add({node.hostname, node.machine_id, describe_node_state(node), node.country.value_or(""),
               fmt::format("{:g}/{:g}", node.cpu_used, node.cpu),
               fmt::format("{}/{}", node.memory_used_mb, node.memory_mb), gpu_text(node),
               node.runtime.value_or(""), age(node.last_heard_time.value_or(""), now),
               describe_node_load(node)});
  }
  session.console.print(table.render());
  for (const std::string& warning : node_warnings(nodes)) {
    session.console.note("warning: " + printable(warning));
  }
}

std::string known_or(const std::optional<std::string>& text) {
  return text && !text->empty() ? printable(*text) : "unknown";
}

std::string memory_text(std::optional<int64_t> megabytes) {
  return megabytes ? fmt::format("{} MB", *megabytes) : "unknown";
}

std::string measurement_text(const MeasurementView& found, WallTime now) {
  std::string text =
      found.latency_ms ? fmt::format("latency {:.1f} ms", *found.latency_ms) : "latency unknown";
  text +=
      found.mbit_per_s ? fmt::format(", {:.1f} Mbit/s", *found.mbit_per_s) : ", throughput unknown";
  text += fmt::format(", {} ago", age(found.time, now));
  if (!found.problem.value_or("").empty()) text += ": " + printable(*found.problem);
  return text;
}

// What was done, and what that means, which is for people only.
void say_done(Session& session, std::string_view what, std::string_view kind,
              const std::string& name, std::string_view meaning) {
  if (session.json()) {
    session.print(json::object{{"accepted", what}, {kind, name}});
    return;
  }
  session.console.print(fmt::format("{}: {} accepted\n", name, what));
  session.console.note(std::string(meaning));
}

Task<Result<std::string>> find_node(Session& session, std::string node) {
  CO_TRY(const Answer<NodeListView> nodes, co_await session.api.list_nodes());
  co_return choose_node(nodes.value.items, node);
}

constexpr std::string_view kNothingLeft =
    "Nothing runs there, and nothing new will until: mesclun node drain --undo";
constexpr Duration kFirstPause = 500ms;
constexpr Duration kLongestPause = 3s;

// Nothing: it was forgotten.
Task<Result<std::optional<NodeView>>> look_at_node(Session& session, std::string id) {
  CO_TRY(Answer<NodeListView> nodes, co_await session.api.list_nodes());
  for (NodeView& node : nodes.value.items) {
    if (node.machine_id == id) co_return std::optional(std::move(node));
  }
  co_return std::optional<NodeView>();
}

Task<Result<>> wait_until_empty(Session& session, std::string id, Duration limit) {
  const TimePoint end = session.clock.now() + limit;
  Progress progress(session.console);
  std::string told;
  for (Duration pause = kFirstPause;; pause = std::min<Duration>(pause * 3 / 2, kLongestPause)) {
    const Result<std::optional<NodeView>> looked = co_await look_at_node(session, id);
    if (!looked && !passes_by_itself(looked.error())) co_return looked.error();
    std::string left = looked ? "" : looked.error().message;
    if (looked) {
      if (!*looked || (*looked)->instances.empty()) break;
      left = fmt::format("{} left: {}", (*looked)->instances.size(), describe_node_load(**looked));
    }
    if (session.clock.now() + pause >= end) {
      co_return Error::deadline(
          fmt::format("not empty after {} ({}); the drain goes on: mesclun node list",
                      format_duration(limit), left));
    }
    if (!session.console.err_is_terminal && left != told) {
      session.console.note(fmt::format("{}: {}", id, left));
      told = left;
    }
    progress.update(fmt::format("{}: {}", id, left));
    CO_TRY_DO(co_await session.clock.sleep_for(pause));
  }
  co_return Result<>();
}

}  // namespace

std::string describe_node_state(const NodeView& node) {
  std::string text = node.state;
  if (node.mode != "active") text += ", " + node.mode;
  if (!node.drained.value_or(false)) return text;
  text += ", drained";
  if (!node.instances.empty()) text += fmt::format(", {} still there", node.instances.size());
  return text;
}

std::string describe_node_load(const NodeView& node) {
  // Running instances are the rule and only counted; others say what they do.
  std::map<std::string, int> counts;
  for (const NodeInstanceView& instance : node.instances) {
    const bool runs = instance.state == "running" && instance.ready.value_or(true);
    const std::string what = instance.state == "running" ? "not ready" : instance.state;
    ++counts[instance.container_group_name + (runs ? "" : " (" + what + ")")];
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += (text.empty() ? "" : ", ") + name + (count > 1 ? fmt::format(" x{}", count) : "");
  }
  return text;
}

std::vector<std::string> node_warnings(const std::vector<NodeView>& nodes) {
  struct Told {
    std::string_view sentence;
    std::vector<const NodeView*> by;
  };
  std::vector<Told> all;
  for (const NodeView& node : nodes) {
    for (const std::string& sentence : node.warnings) {
      auto told = std::ranges::find(all, sentence, &Told::sentence);
      if (told == all.end()) told = all.insert(told, Told{.sentence = sentence, .by = {}});
      if (told->by.empty() || told->by.back() != &node) told->by.push_back(&node);
    }
  }
  std::vector<std::string> lines;
  for (const Told& told : all) {
    const size_t count = told.by.size();
    const std::string who = count == 1              ? told.by.front()->hostname
                            : count == nodes.size() ? fmt::format("all {} nodes", count)
                                                    : fmt::format("{} nodes", count);
    lines.push_back(fmt::format("{}: {}", who, told.sentence));
  }
  return lines;
}

Task<Result<>> list_nodes(Session& session) {
  CO_TRY(const Answer<NodeListView> nodes, co_await session.api.list_nodes());
  if (session.json()) {
    session.print(nodes.document);
  } else if (nodes.value.items.empty()) {
    session.console.note("No machines. Add this one: mesclun agent --help");
  } else {
    print_nodes(session, nodes.value.items);
  }
  co_return Result<>();
}

std::string describe_node(const NodeView& node, WallTime now) {
  std::string out;
  const auto add = [&out](std::string_view what, const std::string& value) {
    out += fmt::format("{:<12} {}\n", what, value);
  };
  add("host", printable(node.hostname));
  add("machine", node.machine_id);
  add("state", describe_node_state(node));
  add("heard", age(node.last_heard_time.value_or(""), now) + " ago");
  add("country", known_or(node.country));
  add("runtime", known_or(node.runtime));
  add("cpu", fmt::format("{:g} of {:g} cores used", node.cpu_used, node.cpu));
  add("memory", fmt::format("{} of {} MB used", node.memory_used_mb, node.memory_mb));
  add("storage", memory_text(node.storage_mb));
  for (const NodeGpuView& gpu : node.gpus) {
    std::string text = known_or(gpu.name);
    if (gpu.pretended.value_or(false)) {
      text += ", pretended";
    } else {
      text += fmt::format(", memory {}, free {}", memory_text(gpu.memory_mb),
                          memory_text(gpu.memory_free_mb));
    }
    add("gpu", text);
  }
  const bool real = std::ranges::any_of(
      node.gpus, [](const NodeGpuView& gpu) { return !gpu.pretended.value_or(false); });
  if (real) add("gpu driver", known_or(node.gpu_driver) + ", CUDA " + known_or(node.cuda));
  for (const MeasurementView& found : node.measurements.value_or(std::vector<MeasurementView>())) {
    add("to " + printable(found.name), measurement_text(found, now));
  }
  const std::string load = describe_node_load(node);
  add("runs", load.empty() ? "nothing" : load);
  for (const std::string& warning : node.warnings) add("warning", printable(warning));
  return out;
}

Task<Result<>> get_node(Session& session, std::string node) {
  CO_TRY(const Answer<NodeListView> nodes, co_await session.api.list_nodes());
  const std::vector<NodeView>& items = nodes.value.items;
  CO_TRY(const std::string id, choose_node(items, node));
  const auto found = std::ranges::find(items, id, &NodeView::machine_id);
  if (session.json()) {
    const auto index = static_cast<size_t>(found - items.begin());
    session.print(nodes.document.at("items").at(index));
  } else {
    session.console.print(describe_node(*found, session.clock.wall_now()));
  }
  co_return Result<>();
}

Result<std::string> choose_node(const std::vector<NodeView>& nodes, std::string_view wanted) {
  std::vector<std::string> found;
  for (const NodeView& node : nodes) {
    if (node.machine_id == wanted) return node.machine_id;
    const bool begins = !wanted.empty() && node.machine_id.starts_with(wanted);
    if (begins || node.hostname == wanted) found.push_back(node.machine_id);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return usage_error(fmt::format("no node is '{}'; see mesclun node list", wanted));
  }
  return usage_error(
      fmt::format("'{}' may be any of {}; say more", wanted, fmt::join(found, ", ")));
}

Task<Result<>> forget_node(Session& session, std::string node) {
  CO_TRY(const std::string id, co_await find_node(session, std::move(node)));
  CO_TRY_DO(co_await session.api.forget_node(id));
  say_done(session, "forget", "machine_id", id,
           "Its session is closed and its instances are placed elsewhere. A machine that still has "
           "the join token comes back as a new one; to keep it out: mesclun node ban");
  co_return Result<>();
}

Task<Result<>> ban_node(Session& session, std::string node) {
  CO_TRY(const std::string id, co_await find_node(session, std::move(node)));
  CO_TRY_DO(co_await session.api.act_on_node(id, "ban"));
  say_done(session, "ban", "machine_id", id,
           "Its session is closed, its instances are placed elsewhere, and it is refused until: "
           "mesclun node unban");
  co_return Result<>();
}

Task<Result<>> unban_node(Session& session, std::string node) {
  CO_TRY(const std::string id, co_await find_node(session, std::move(node)));
  CO_TRY_DO(co_await session.api.act_on_node(id, "unban"));
  say_done(session, "unban", "machine_id", id,
           "Its agent comes back at its next try, within half a minute.");
  co_return Result<>();
}

Task<Result<>> drain_node(Session& session, DrainOptions options) {
  CO_TRY(const std::string id, co_await find_node(session, options.node));
  CO_TRY_DO(co_await session.api.act_on_node(id, options.undo ? "undrain" : "drain"));
  if (options.undo) {
    say_done(session, "undrain", "machine_id", id,
             "It takes new instances again; what has moved stays where it is.");
    co_return Result<>();
  }
  if (options.wait) {
    CO_TRY_DO(co_await wait_until_empty(session, id, options.timeout));
  } else {
    CO_TRY(const std::optional<NodeView> now, co_await look_at_node(session, id));
    if (!now || now->instances.empty()) {
      say_done(session, "drain", "machine_id", id, kNothingLeft);
      co_return Result<>();
    }
  }
  say_done(session, "drain", "machine_id", id,
           options.wait ? std::string(kNothingLeft)
                        : "It takes nothing new, and what runs there moves off; see mesclun node "
                          "list, or wait with --wait. Undo: --undo");
  co_return Result<>();
}

Task<Result<>> list_gateways(Session& session) {
  CO_TRY(const Answer<GatewayListView> gateways, co_await session.api.list_gateways());
  if (session.json()) {
    session.print(gateways.document);
    co_return Result<>();
  }
  if (gateways.value.items.empty()) {
    session.console.note("No gateways. Run one: mesclun gateway --help");
    co_return Result<>();
  }
  Table table({"NAME", "TUNNELS", "STATE"});
  for (const GatewayView& gateway : gateways.value.items) {
    table.add({gateway.name, gateway.tunnel_endpoint, gateway.state});
  }
  session.console.print(table.render());
  co_return Result<>();
}

Task<Result<>> forget_gateway(Session& session, std::string name) {
  CO_TRY_DO(co_await session.api.forget_gateway(name));
  say_done(session, "forget", "gateway", name,
           "Nodes drop their tunnels to it. One that still runs and has the gateway token comes "
           "back: stop it first, or rotate the token.");
  co_return Result<>();
}

Task<Result<>> rotate_token(Session& session, std::string name) {
  CO_TRY(const Answer<TokenView> rotated, co_await session.api.rotate_token(name));
  if (session.json()) {
    session.print(rotated.document);
    co_return Result<>();
  }
  session.console.print(rotated.value.token + "\n");
  session.console.note(
      name == "join"
          ? "Unknown machines need this one from now on. Those that are known stay: see mesclun "
            "node forget and ban."
          : "Gateways need this one from now on; all were disconnected, and serve what they know "
            "until they have it.");
  co_return Result<>();
}

}  // namespace mesclun::client
