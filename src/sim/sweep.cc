#include "sim/sweep.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <list>

#include "base/file.h"
#include "base/integer.h"
#include "base/json.h"

namespace mesclun::sim {

namespace {

// What a seed's process says before it ends.
struct Told {
  uint64_t checks = 0;
  std::vector<std::string> violations;
};
BOOST_DESCRIBE_STRUCT(Told, (), (checks, violations))

struct Worker {
  uint64_t seed = 0;
  pid_t process = 0;
  Descriptor from;
  std::string said;
};

[[noreturn]] void work(uint64_t seed, int to, const std::function<SimResult(uint64_t)>& run) {
  const SimResult result = run(seed);
  const Told told{.checks = result.checks, .violations = result.violations};
  const Result<> written = write_all(to, to_json_text(told), "the sweep");
  // Without the parent's handlers of exit: they are the parent's to run.
  _exit(written ? 0 : 1);
}

Result<Worker> start(uint64_t seed, const std::function<SimResult(uint64_t)>& run) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  const pid_t process = fork();
  if (process < 0) return system_error("cannot make a process");
  if (process == 0) work(seed, to.get(), run);
  return Worker{.seed = seed, .process = process, .from = std::move(from)};
}

// After the end of its output.
Result<Told> finish(Worker& worker) {
  int status = 0;
  while (waitpid(worker.process, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    return Error::unavailable(
        fmt::format("the simulation was ended by {}", strsignal(WTERMSIG(status))));
  }
  Result<Told> told = from_json_text<Told>(worker.said);
  if (!told) {
    return Error::unavailable(
        fmt::format("the simulation ended with status {} and told nothing", WEXITSTATUS(status)));
  }
  return told;
}

void give_up(std::list<Worker>& workers) {
  for (Worker& worker : workers) {
    kill(worker.process, SIGKILL);
    while (waitpid(worker.process, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  workers.clear();
}

// Reads what has come; those that have said everything.
std::vector<std::list<Worker>::iterator> listen(std::list<Worker>& workers) {
  std::vector<pollfd> wanted;
  for (const Worker& worker : workers) wanted.push_back({worker.from.get(), POLLIN, 0});
  poll(wanted.data(), wanted.size(), -1);
  std::vector<std::list<Worker>::iterator> ended;
  size_t i = 0;
  for (auto worker = workers.begin(); worker != workers.end(); ++worker, ++i) {
    if (wanted[i].revents == 0) continue;
    char bytes[4096];
    const ssize_t n = read(worker->from.get(), bytes, sizeof bytes);
    if (n > 0) worker->said.append(bytes, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) ended.push_back(worker);
  }
  return ended;
}

}  // namespace

Result<SeedRange> parse_seeds(std::string_view text) {
  const size_t dots = text.find("..");
  const auto number = [&](std::string_view part) { return parse_integer<uint64_t>(part); };
  if (dots != std::string_view::npos) {
    const auto first = number(text.substr(0, dots));
    const auto last = number(text.substr(dots + 2));
    if (first && last && *first <= *last) return SeedRange{*first, *last};
  }
  return Error::invalid("must be FIRST..LAST, for example 1..1000");
}

Result<SweepResult> sweep(SeedRange seeds, size_t jobs, std::function<SimResult(uint64_t seed)> run,
                          std::function<void(uint64_t done)> progress) {
  SweepResult result;
  std::list<Worker> workers;
  uint64_t next = seeds.first;
  bool more = true;
  while (more || !workers.empty()) {
    while (more && workers.size() < jobs) {
      Result<Worker> worker = start(next, run);
      if (!worker) {
        give_up(workers);
        return worker.error();
      }
      workers.push_back(std::move(*worker));
      more = next++ != seeds.last;
    }
    for (const auto ended : listen(workers)) {
      Worker worker = std::move(*ended);
      workers.erase(ended);
      const Result<Told> told = finish(worker);
      if (!told || !told->violations.empty()) {
        result.failed =
            FailedSeed{worker.seed, told ? told->violations : std::vector{told.error().message}};
        give_up(workers);
        return result;
      }
      ++result.passed;
      result.checks += told->checks;
      progress(result.passed);
    }
  }
  return result;
}

}  // namespace mesclun::sim
