#include "sim/wishes.h"

#include <algorithm>

#include "api/gpu_class.h"

namespace mesclun::sim {

namespace {

constexpr int64_t kGigabyte = int64_t{1024} * 1024 * 1024;
constexpr std::string_view kPriorities[] = {"high", "medium", "low", "batch"};

// Any of a few, or of many: so that groups compete for the same ones in part.
json::array random_gpu_classes(Random& random) {
  const auto& known = api::known_gpu_classes();
  json::array classes;
  if (random.chance(0.5)) {
    for (const api::GpuClass& gpu : known) {
      if (random.chance(0.4)) classes.push_back(json::string(gpu.id));
    }
    return classes;
  }
  const uint64_t first = random.below(known.size());
  const uint64_t count = 1 + random.below(std::min<size_t>(3, known.size()));
  for (uint64_t i = 0; i < count; ++i) {
    classes.push_back(json::string(known[(first + i) % known.size()].id));
  }
  return classes;
}

json::object random_resources(Random& random) {
  json::object resources;
  resources["cpu"] = 1 + random.below(4);
  resources["memory"] = 1024 * (1 + random.below(6));
  if (random.chance(0.5)) resources["gpu_classes"] = random_gpu_classes(random);
  if (random.chance(0.3))
    resources["storage_amount"] = kGigabyte * static_cast<int64_t>(1 + random.below(80));
  if (random.chance(0.2)) resources["shm_size"] = 64 * (1 + random.below(8));
  return resources;
}

json::array random_countries(Random& random) {
  json::array countries;
  for (const std::string_view country : {"us", "de", "fr", "gb", "ca", "jp", "br"}) {
    if (random.chance(0.5)) countries.push_back(json::string(country));
  }
  return countries;
}

json::array random_command(Random& random, std::string_view kind) {
  json::array command{json::string(kind)};
  command.push_back(json::string(std::to_string(random.below(1000))));
  return command;
}

// All pass once the application listens, which it does within 21 s.
json::object random_probe(Random& random, std::string_view name) {
  json::object probe{{"period_seconds", 10 + random.below(51)}};
  if (random.chance(0.7)) {
    probe["tcp"] = json::object{{"port", 80}};
  } else {
    probe["exec"] = json::object{{"command", {"true"}}};
  }
  if (name == "liveness_probe") probe["initial_delay_seconds"] = 30;
  if (name == "startup_probe") probe["period_seconds"] = 10;
  probe["failure_threshold"] = name == "startup_probe" ? 10 : 3;
  return probe;
}

void patch_container(Random& random, json::object& container) {
  switch (random.below(6)) {
    case 0:
      container["environment_variables"] = {{"N", std::to_string(random.below(1000))}};
      break;
    case 1:
      container["command"] = random_command(random, kService);
      break;
    case 2:
      container["image"] = "simulated:" + std::to_string(random.below(100));
      break;
    case 3: {
      json::object resources = random_resources(random);
      // What is not named again goes.
      for (const char* const member : {"gpu_classes", "storage_amount", "shm_size"}) {
        if (!resources.contains(member) && random.chance(0.5)) resources[member] = nullptr;
      }
      container["resources"] = std::move(resources);
      break;
    }
    case 4:
      container["priority"] = kPriorities[random.below(4)];
      break;
    default:
      container["image_caching"] = random.chance(0.5);
  }
}

}  // namespace

api::GroupSpec random_spec(Random& random, int number, size_t replicas_max) {
  json::object document;
  document["name"] = "group-" + std::to_string(number);
  document["autostart_policy"] = true;
  // Some finish for ever; most run on.
  const double kind = random.unit();
  const bool job = kind < 0.25;
  document["restart_policy"] = kind < 0.1 ? "never" : kind < 0.3 ? "on_failure" : "always";
  document["replicas"] = 1 + random.below(std::max<size_t>(1, replicas_max));
  json::object container{{"image", "simulated"},
                         {"command", random_command(random, job ? kJob : kService)}};
  container["resources"] = random_resources(random);
  container["priority"] = kPriorities[random.below(4)];
  document["container"] = std::move(container);
  if (random.chance(0.3)) document["country_codes"] = {"de", "fr", "us"};
  if (random.chance(0.5)) {
    document["networking"] = {{"auth", false}, {"port", 80}, {"protocol", "http"}};
    document["readiness_probe"] = {{"tcp", {{"port", 80}}}, {"period_seconds", 60}};
  }
  return api::read_group_spec(document, api::known_gpu_classes()).value();
}

json::object random_patch(Random& random, size_t replicas_max) {
  json::object patch;
  json::object container;
  const uint64_t members = 1 + random.below(3);
  for (uint64_t i = 0; i < members; ++i) {
    switch (random.below(6)) {
      case 0:
      case 1:
        patch["replicas"] = random.below(std::max<size_t>(2, replicas_max));
        break;
      case 2: {
        json::array countries = random_countries(random);
        patch["country_codes"] = countries.empty() ? json::value() : json::value(countries);
        break;
      }
      case 3: {
        constexpr std::string_view kProbes[] = {"liveness_probe", "readiness_probe",
                                                "startup_probe"};
        const std::string_view name = kProbes[random.below(3)];
        patch[name] = random.chance(0.3) ? json::value() : json::value(random_probe(random, name));
        break;
      }
      case 4:
        patch["display_name"] = "Group " + std::to_string(random.below(1000));
        break;
      default:
        patch_container(random, container);
    }
  }
  if (!container.empty()) patch["container"] = std::move(container);
  return patch;
}

}  // namespace mesclun::sim
