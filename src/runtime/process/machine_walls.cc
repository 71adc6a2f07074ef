#include "runtime/process/machine_walls.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "runtime/shim/shim.h"
#include "runtime/shim/shim_client.h"
#include "runtime/walls/netns.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

namespace {

// Groups for the time of the trial; empty: there is none.
struct TrialGroups {
  std::string cpu;
  std::string memory;
  std::string problem;

  std::vector<std::string> all() const {
    std::vector<std::string> groups;
    for (const std::string& group : {cpu, memory}) {
      if (!group.empty()) groups.push_back(group);
    }
    return groups;
  }
};

// The same for every agent of a folder, so that the next one takes away what a killed one left.
std::string trial_name(const std::string& data_folder) {
  struct stat status{};
  std::ignore = ::stat(data_folder.c_str(), &status);
  return fmt::format("probe-{:x}-{:x}", status.st_dev, status.st_ino);
}

TrialGroups make_groups(const Cgroups& cgroups, const std::string& data_folder) {
  const std::string name = trial_name(data_folder);
  Result<std::string> cpu = Error::unavailable("no control groups");
  Result<std::string> memory = cpu;
  if (cgroups.limits_cpu()) cpu = cgroups.create_cpu(name, 1);
  if (cgroups.limits_memory()) memory = cgroups.create_memory(name, 64 * 1024 * 1024);
  TrialGroups groups{.cpu = cpu.value_or(""), .memory = memory.value_or("")};
  if (!cpu) groups.problem = cpu.error().message;
  if (!memory) groups.problem = memory.error().message;
  return groups;
}

// What a shim could enter.
Task<Result<ShimProbe>> probe(const ProcessDriverSettings& settings,
                              std::vector<std::string> groups, Clock& clock) {
  std::vector<std::string> arguments{"probe"};
  arguments.insert(arguments.end(), groups.begin(), groups.end());
  Result<ShimProcess> shim =
      spawn_shim(settings.shim_program, std::move(arguments), settings.data_folder + "/shim.err");
  Result<std::string> text = Error::internal("");
  if (shim) {
    text = co_await read_answer(std::move(shim->answer), clock, kShimLimit);
    kill_shim(shim->pid);
  }
  for (int i = 0; i < 50 && !remove_cgroups(groups); ++i) {
    CO_TRY_DO(co_await clock.sleep_for(10ms));
  }
  if (!shim) co_return shim.error();
  if (!text) co_return text.error();
  co_return from_json_text<ShimProbe>(*text);
}

// An empty reason: not missing, or not to be told.
struct Missing {
  std::string isolation;
  std::string egress;
  std::string limits;
};

DriverFacts describe(const MachineWalls& walls, const Missing& missing) {
  DriverFacts facts{.runtime = "process",
                    .own_network = walls.isolation.network,
                    .limits_cpu = walls.cgroups.limits_cpu(),
                    .limits_memory = walls.cgroups.limits_memory()};
  if (!walls.isolation.network) {
    facts.warnings.push_back(
        fmt::format("applications share the machine's network ({}): two that listen on the same "
                    "port collide, and the metadata service is not at {} but where "
                    "SALAD_METADATA_URI says",
                    missing.isolation, kMetadataAddress));
  } else if (!walls.egress) {
    facts.warnings.push_back(fmt::format(
        "applications do not reach other machines ({}): downloads and outside services fail",
        missing.egress));
  }
  if (!facts.limits_cpu) {
    facts.warnings.push_back(fmt::format(
        "CPU is not limited ({}): an application can take the whole machine", missing.limits));
  }
  if (!facts.limits_memory) {
    facts.warnings.push_back(fmt::format(
        "memory is not limited ({}): an application can take the whole machine", missing.limits));
  }
  return facts;
}

}  // namespace

Task<Result<MachineWalls>> try_machine(const ProcessDriverSettings& settings, Clock& clock) {
  MachineWalls walls;
  TrialGroups groups;
  if (settings.use_cgroups) {
    walls.cgroups = Cgroups::of_this_machine();
    groups = make_groups(walls.cgroups, settings.data_folder);
  }
  CO_TRY(const ShimProbe found, co_await probe(settings, groups.all(), clock));
  const auto joined = [&found](const std::string& group) {
    return !group.empty() && std::ranges::find(found.cgroups, group) != found.cgroups.end();
  };
  if (!joined(groups.cpu)) walls.cgroups.give_up_cpu();
  if (!joined(groups.memory)) walls.cgroups.give_up_memory();
  if (settings.use_namespaces) walls.isolation = found.isolation;
  Result<> egress = Error::unavailable("switched off");
  if (walls.isolation.network && settings.use_egress) {
    egress = walls.isolation.user ? Error::unavailable("needs root") : prepare_egress();
  }
  walls.egress = egress.has_value();

  Missing missing{.isolation = "switched off", .limits = "switched off"};
  if (settings.use_namespaces) missing.isolation = found.isolation_problem;
  if (!egress) missing.egress = egress.error().message;
  if (settings.use_cgroups) {
    missing.limits = found.cgroup_problem.empty() ? groups.problem : found.cgroup_problem;
  }
  walls.facts = describe(walls, missing);
  co_return walls;
}

Task<Result<>> check_machine(const ProcessDriverSettings& settings, const MachineWalls& walls,
                             Clock& clock) {
  TrialGroups groups;
  if (walls.cgroups.limits_cpu() || walls.cgroups.limits_memory()) {
    groups = make_groups(walls.cgroups, settings.data_folder);
    if (!groups.problem.empty()) {
      remove_cgroups(groups.all());
      co_return Error::unavailable("control groups are refused: " + groups.problem);
    }
  }
  CO_TRY(const ShimProbe found, co_await probe(settings, groups.all(), clock));
  const bool less = (walls.isolation.network && !found.isolation.network) ||
                    (walls.isolation.processes && !found.isolation.processes);
  if (less) co_return Error::unavailable("namespaces are refused: " + found.isolation_problem);
  co_return Result<>();
}

}  // namespace mesclun::runtime
