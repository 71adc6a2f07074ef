#include "client/stats_verbs.h"

#include <fmt/format.h>

namespace mesclun::client {

namespace {

// As the other tables count.
constexpr double kMebibyte = 1024 * 1024;

template <class T>
std::string number(std::string_view format, const std::optional<T>& value) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string memory_text(const StatsView& instance) {
  if (!instance.memory_bytes) return "-";
  return fmt::format("{:.0f}/{:.0f}", static_cast<double>(*instance.memory_bytes) / kMebibyte,
                     static_cast<double>(instance.memory_limit_bytes) / kMebibyte);
}

std::string cpu_text(const StatsView& instance) {
  return instance.cpu_cores ? fmt::format("{:.2f}/{}", *instance.cpu_cores, instance.cpu_limit)
                            : "-";
}

// In place of what was on the screen, without a flicker: each line to its end, then the rest.
std::string repaint(std::string_view text) {
  std::string out = "\x1b[H";
  for (const char c : text) {
    if (c == '\n') out += "\x1b[K";
    out += c;
  }
  return out + "\x1b[J";
}

}  // namespace

std::string render_stats(const std::vector<StatsView>& instances) {
  Table table({"GROUP", "INSTANCE", "MACHINE", "STATE", "READY", "RESTARTS", "CPU", "MEMORY MB",
               "REQ/S", "IN FLIGHT"});
  for (const StatsView& instance : instances) {
    const std::string host = instance.hostname.value_or("");
    table.add({instance.container_group_name, instance.instance_id.substr(0, 8),
               host.empty() ? instance.machine_id.substr(0, 8) : host, instance.state,
               instance.ready ? "yes" : "no", std::to_string(instance.restarts), cpu_text(instance),
               memory_text(instance), number("{:.1f}", instance.requests_per_second),
               number("{}", instance.in_flight)});
  }
  return table.render();
}

Task<Result<>> show_stats(Session& session, StatsOptions options) {
  const bool live = !options.once && !session.json() && session.console.out_is_terminal &&
                    session.console.err_is_terminal;
  if (live) session.console.print("\x1b[2J");
  while (true) {
    const Result<Answer<StatsListView>> stats = co_await session.api.list_stats(options.group);
    if (!stats && !(live && passes_by_itself(stats.error()))) co_return stats.error();
    if (session.json()) {
      session.print(stats->document);
    } else if (live) {
      const std::string shown = stats ? render_stats(stats->value.items)
                                      : printable(stats.error().message) + "; looking again\n";
      session.console.print(repaint(shown));
    } else {
      session.console.print(render_stats(stats->value.items));
    }
    if (!live) co_return Result<>();
    CO_TRY_DO(co_await session.clock.sleep_for(options.period));
  }
}

}  // namespace mesclun::client
