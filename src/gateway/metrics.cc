#include "gateway/metrics.h"

#include <fmt/format.h>

#include "base/json.h"

namespace mesclun::gateway {

namespace {

void describe(std::string_view name, std::string_view type, std::string_view help,
              std::string& out) {
  fmt::format_to(std::back_inserter(out),
                 "# HELP mesclun_gateway_{0} {1}\n# TYPE mesclun_gateway_{0} {2}\n", name, help,
                 type);
}

template <class Value>
void each_group(const RouteTable& table, std::string_view name, std::string_view type,
                std::string_view help, Value value, std::string& out) {
  describe(name, type, help, out);
  table.for_each([&](const Group& group) {
    fmt::format_to(std::back_inserter(out), "mesclun_gateway_{}{{host=\"{}\"}} {}\n", name,
                   group.route().dns, value(group));
  });
}

size_t ready_instances(const Group& group) {
  return static_cast<size_t>(std::ranges::count_if(
      group.instances(), [](const InstancePtr& one) { return one->ready && one->node->up(); }));
}

}  // namespace

std::string metrics_text(const RouteTable& table, const Proxy& proxy, const TunnelHub& hub) {
  std::string out;
  each_group(
      table, "requests_total", "counter", "Requests received.",
      [](const Group& g) { return g.stats.requests; }, out);
  describe("answers_total", "counter", "Requests ended, by first digit of the status; 0: none.",
           out);
  table.for_each([&](const Group& group) {
    for (size_t digit = 0; digit < group.stats.answers.size(); ++digit) {
      fmt::format_to(std::back_inserter(out),
                     "mesclun_gateway_answers_total{{host=\"{}\",class=\"{}\"}} {}\n",
                     group.route().dns, digit, group.stats.answers[digit]);
    }
  });
  describe("refusals_total", "counter", "Answers made by the gateway, by X-Gateway-Error.", out);
  table.for_each([&](const Group& group) {
    for (const auto& [reason, count] : group.stats.refusals) {
      fmt::format_to(std::back_inserter(out),
                     "mesclun_gateway_refusals_total{{host=\"{}\",reason=\"{}\"}} {}\n",
                     group.route().dns, reason, count);
    }
  });
  each_group(
      table, "in_flight", "gauge", "Requests at instances now.",
      [](const Group& g) { return g.in_flight(); }, out);
  each_group(
      table, "waiting", "gauge", "Requests that wait for a free instance now.",
      [](const Group& g) { return g.waiting(); }, out);
  each_group(table, "ready_instances", "gauge", "Instances that may take requests now.",
             ready_instances, out);
  each_group(
      table, "request_body_bytes_total", "counter", "Bytes of request bodies.",
      [](const Group& g) { return g.stats.bytes_in; }, out);
  each_group(
      table, "response_body_bytes_total", "counter", "Bytes of response bodies.",
      [](const Group& g) { return g.stats.bytes_out; }, out);
  each_group(
      table, "connects_total", "counter", "Streams opened to instances.",
      [](const Group& g) { return g.stats.connects; }, out);
  describe("retries_total", "counter",
           "Requests sent again, by cause: an instance took no connection (unconnected), an idle "
           "stream was closed, an instance broke off before it answered, or was busy.",
           out);
  table.for_each([&](const Group& group) {
    for (size_t cause = 0; cause < kRetryCauseNames.size(); ++cause) {
      fmt::format_to(std::back_inserter(out),
                     "mesclun_gateway_retries_total{{host=\"{}\",cause=\"{}\"}} {}\n",
                     group.route().dns, kRetryCauseNames[cause], group.stats.retries[cause]);
    }
  });
  each_group(
      table, "retries_denied_total", "counter", "Requests not sent again for want of a budget.",
      [](const Group& g) { return g.stats.retries_denied; }, out);
  each_group(
      table, "ejections_total", "counter", "Instances that were told to rest, as outliers.",
      [](const Group& g) { return g.stats.ejections; }, out);
  const auto single = [&](std::string_view name, std::string_view type, std::string_view help,
                          uint64_t value) {
    describe(name, type, help, out);
    fmt::format_to(std::back_inserter(out), "mesclun_gateway_{} {}\n", name, value);
  };
  single("connections", "gauge", "Client connections now.", proxy.connections());
  single("tunnels", "gauge", "Tunnels of nodes now.", hub.tunnels());
  single("unknown_hosts_total", "counter", "Requests for hosts without a route.",
         proxy.unknown_hosts());
  return out;
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
    for (size_t digit = 0; digit < group.stats.answers.size(); ++digit) {
      answers[std::to_string(digit)] = group.stats.answers[digit];
    }
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
