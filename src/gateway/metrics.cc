#include "gateway/metrics.h"

#include "base/json.h"
#include "base/metrics_text.h"

namespace mesclun::gateway {

namespace {

size_t ready_instances(const Group& group) {
  return static_cast<size_t>(std::ranges::count_if(
      group.instances(), [](const InstancePtr& one) { return one->ready && one->node->up(); }));
}

}  // namespace

std::string metrics_text(const RouteTable& table, const Proxy& proxy, const TunnelHub& hub) {
  MetricsText text("mesclun_gateway_");
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                        auto value_of) {
    text.family(name, type, help);
    table.for_each([&](const Group& group) {
      text.value(static_cast<double>(value_of(group)), {{"host", group.route().dns}});
    });
  };
  const auto each_time = [&](std::string_view name, std::string_view help,
                             Histogram GroupStats::* histogram) {
    text.family(name, "histogram", help);
    table.for_each([&](const Group& group) {
      text.value(group.stats.*histogram, {{"host", group.route().dns}});
    });
  };
  each("requests_total", "counter", "Requests received.",
       [](const Group& g) { return g.stats.requests; });
  text.family("answers_total", "counter",
              "Requests ended, by status; 0: the client or the instance broke off.");
  table.for_each([&](const Group& group) {
    for (const auto& [status, count] : group.stats.answers) {
      text.value(static_cast<double>(count),
                 {{"host", group.route().dns}, {"code", std::to_string(status)}});
    }
  });
  text.family("refusals_total", "counter", "Answers made by the gateway, by X-Gateway-Error.");
  table.for_each([&](const Group& group) {
    for (const auto& [reason, count] : group.stats.refusals) {
      text.value(static_cast<double>(count), {{"host", group.route().dns}, {"reason", reason}});
    }
  });
  each_time("wait_seconds", "For a place at an instance.", &GroupStats::wait);
  each_time("connect_seconds", "For a stream to it; 0 for one that was idle.",
            &GroupStats::connect);
  each_time("first_byte_seconds", "From there to the head of the answer.", &GroupStats::first_byte);
  each_time("total_seconds", "From the head of a request to the end of its answer.",
            &GroupStats::total);
  each("in_flight", "gauge", "Requests at instances now.",
       [](const Group& g) { return g.in_flight(); });
  each("waiting", "gauge", "Requests that wait for a free instance now.",
       [](const Group& g) { return g.waiting(); });
  each("ready_instances", "gauge", "Instances that may take requests now.", ready_instances);
  each("request_body_bytes_total", "counter", "Bytes of request bodies.",
       [](const Group& g) { return g.stats.bytes_in; });
  each("response_body_bytes_total", "counter", "Bytes of response bodies.",
       [](const Group& g) { return g.stats.bytes_out; });
  each("connects_total", "counter", "Streams opened to instances.",
       [](const Group& g) { return g.stats.connects; });
  text.family(
      "retries_total", "counter",
      "Requests sent again, by cause: an instance took no connection (unconnected), an idle "
      "stream was closed, an instance broke off before it answered, or was busy.");
  table.for_each([&](const Group& group) {
    for (size_t cause = 0; cause < kRetryCauseNames.size(); ++cause) {
      text.value(static_cast<double>(group.stats.retries[cause]),
                 {{"host", group.route().dns}, {"cause", kRetryCauseNames[cause]}});
    }
  });
  each("retries_denied_total", "counter", "Requests not sent again for want of a budget.",
       [](const Group& g) { return g.stats.retries_denied; });
  each("ejections_total", "counter", "Instances that were told to rest, as outliers.",
       [](const Group& g) { return g.stats.ejections; });
  text.single("connections", "gauge", "Client connections now.",
              static_cast<double>(proxy.connections()));
  text.single("tunnels", "gauge", "Tunnels of nodes now.", static_cast<double>(hub.tunnels()));
  text.single("unknown_hosts_total", "counter", "Requests for hosts without a route.",
              static_cast<double>(proxy.unknown_hosts()));
  if (const AccessLog* log = proxy.access_log()) {
    text.single("access_log_dropped_total", "counter", "Lines that nobody took in time.",
                static_cast<double>(log->dropped()));
  }
  return text.take();
}

std::string state_json(const RouteTable& table, const Proxy& proxy, const TunnelHub& hub) {
  json::array groups;
  table.for_each([&](const Group& group) {
    json::array instances;
    for (const InstancePtr& instance : group.instances()) {
      instances.push_back({{"id", instance->id},
                           {"machine_id", instance->node->id},
                           {"ready", instance->ready},
                           {"tunnel_up", instance->node->up()},
                           {"tunnel_suspect", instance->node->suspect()},
                           {"in_flight", instance->in_flight},
                           {"idle_streams", instance->pool.size()}});
    }
    json::object answers;
    for (const auto& [status, count] : group.stats.answers) answers[std::to_string(status)] = count;
    groups.push_back({{"host", group.route().dns},
                      {"group_id", group.route().group_id},
                      {"deleted", group.route().deleted},
                      {"requests", group.stats.requests},
                      {"answers", std::move(answers)},
                      {"in_flight", group.in_flight()},
                      {"waiting", group.waiting()},
                      {"instances", std::move(instances)}});
  });
  const json::object state{{"connections", proxy.connections()},
                           {"tunnels", hub.tunnels()},
                           {"routes_loaded", table.loaded()},
                           {"groups", std::move(groups)}};
  return json::serialize(state);
}

}  // namespace mesclun::gateway
