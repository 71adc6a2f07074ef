// For tests: answers of the API as the contract has them, and the paths that they belong to.
#pragma once

#include <fmt/format.h>

#include "client/fake_api.h"

// For text that a command printed.
#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

namespace mesclun::client {

inline constexpr const char* kGroups = "/api/public/organizations/acme/projects/demo/containers";
inline constexpr const char* kExtra = "/api/mesclun/organizations/acme/projects/demo/containers";
inline constexpr const char* kId = "3f2a0000-0000-4000-8000-000000000001";
inline constexpr const char* kOtherId = "3f2b0000-0000-4000-8000-000000000002";

inline std::string group_body(const std::string& name, const std::string& status, int running,
                              bool pending_change = false, bool autostart = true) {
  return fmt::format(
      R"({{"id":"00000000-0000-4000-8000-000000000009","name":"{}","display_name":"{}",)"
      R"("organization_name":"acme","project_name":"demo","container":{{"image":"img:1",)"
      R"("command":[],"resources":{{"cpu":1,"memory":1024,"gpu_classes":[]}}}},)"
      R"("autostart_policy":{},"restart_policy":"always","replicas":2,"country_codes":[],)"
      R"("priority":null,"networking":{{"auth":false,"port":8080,"protocol":"http",)"
      R"("load_balancer":"round_robin","dns":"{}.localhost"}},"pending_change":{},"version":1,)"
      R"("create_time":"2026-01-01T00:00:00.0000000+00:00",)"
      R"("update_time":"2026-01-01T00:00:00.0000000+00:00","scaling-actions":[],)"
      R"("scheduled-scaling-enabled":false,"current_state":{{"status":"{}",)"
      R"("start_time":"2026-01-01T00:00:00Z","finish_time":"2026-01-01T00:00:00Z",)"
      R"("instance_status_counts":{{"allocating_count":0,"creating_count":0,)"
      R"("running_count":{},"stopping_count":0}}}}}})",
      name, name, autostart, name, pending_change, status, running);
}

inline std::string instance_body(const std::string& id, bool ready) {
  return fmt::format(R"({{"id":"{}","machine_id":"aaaa0000-0000-4000-8000-00000000000a",)"
                     R"("state":"running","update_time":"2026-01-01T00:00:00Z","version":1,)"
                     R"("ready":{},"started":true,"deletion_cost":0}})",
                     id, ready);
}

inline std::string instances_body(bool ready) {
  return fmt::format(R"({{"instances":[{},{}]}})", instance_body(kId, true),
                     instance_body(kOtherId, ready));
}

inline std::string path_of(const char* method, const char* prefix, const std::string& rest = "") {
  return std::string(method) + " " + prefix + rest;
}

inline std::string problem_body(int status, const std::string& type, const std::string& detail) {
  return fmt::format(R"({{"type":"{}","title":"t","status":{},"detail":"{}"}})", type, status,
                     detail);
}

}  // namespace mesclun::client
