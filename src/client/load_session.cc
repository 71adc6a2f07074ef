#include "client/load_session.h"

#include <fmt/format.h>

#include <csignal>

#include "base/real_clock.h"
#include "base/real_random.h"
#include "base/service.h"
#include "base/standard_output.h"

namespace mesclun::client {

namespace {

// Fast enough to look alive, slow enough to cost nothing.
constexpr Duration kProgressEvery = 200ms;

// The parts of one run, in the order in which they depend on each other.
class LoadSession {
 public:
  LoadSession(asio::io_context& io, Clock& clock, Random& random, LoadSettings settings,
              const Console& console)
      : io_(io),
        clock_(clock),
        settings_(std::move(settings)),
        console_(console),
        progress_(console),
        transport_(clock, settings_.address.endpoint, settings_.address.authority),
        client_(io.get_executor(), clock, random, transport_, settings_.traffic),
        runner_(io.get_executor(), clock, client_, settings_.plan,
                [this](LoadOutcome outcome) { take(std::move(outcome)); }),
        scope_(io.get_executor(), "load-session") {}

  // Returns the exit status.
  int run() {
    scope_.spawn(show_progress());
    std::ignore = run_with_signals(io_, runner_.run(), {SIGINT, SIGTERM},
                                   [this](int number) { return on_signal(number); });
    scope_.cancel();
    while (scope_.running() > 0 && io_.run_one() > 0) {
    }
    io_.poll();
    finish();
    if (signalled_ != 0) return 128 + signalled_;
    return summary_.failed() == 0 && !write_failed_ ? 0 : 1;
  }

 private:
  // What was sent may still be answered: nothing is cancelled.
  bool on_signal(int number) {
    if (is_first_signal(number, signalled_)) {
      runner_.stop();
      scope_.spawn(give_up_later());
    }
    return false;
  }

  Task<Result<>> give_up_later() {
    CO_TRY_DO(co_await clock_.sleep_for(settings_.grace));
    runner_.give_up();
    co_return Result<>();
  }

  Task<Result<>> show_progress() {
    while (true) {
      CO_TRY_DO(co_await clock_.sleep_for(kProgressEvery));
      if (settings_.json) flush(console_.out, "standard output");
      if (settings_.lines_out != nullptr) flush(settings_.lines_out, settings_.lines_name);
      progress_.update(summary_.progress(client_.controller(), settings_.plan, elapsed()));
    }
  }

  // Lines that are lost end the run: they are what it is for. A reader who closed the pipe has had
  // enough of them.
  void flush(std::FILE* file, const std::string& name) {
    if (!lost_.empty()) return;
    const std::optional<std::string> why = unwritten(file);
    if (!why && std::ferror(file) == 0) return;
    lost_ = name;
    write_failed_ = why.has_value();
    if (why) console_.note(fmt::format("mesclun: cannot write {}: {}", name, *why));
    runner_.stop();
  }

  void take(LoadOutcome outcome) {
    summary_.add(outcome);
    if (!settings_.json && settings_.lines_out == nullptr) return;
    const std::string line = outcome_line(outcome, settings_.lines);
    // Flushed with the progress: a system call a line would slow the run down.
    if (settings_.json) std::fwrite(line.data(), 1, line.size(), console_.out);
    if (settings_.lines_out != nullptr) {
      std::fwrite(line.data(), 1, line.size(), settings_.lines_out);
    }
  }

  void finish() {
    const std::string table = summary_.table(client_.controller(), elapsed());
    if (settings_.json) flush(console_.out, "standard output");
    if (settings_.lines_out != nullptr) flush(settings_.lines_out, settings_.lines_name);
    progress_.done(fmt::format("{}: {} of {} requests succeeded in {:.1f} s",
                               signalled_ != 0 || !lost_.empty() ? "stopped" : "done",
                               summary_.ok(), summary_.requests(), to_seconds(elapsed())));
    if (settings_.json) {
      console_.note(std::string_view(table).substr(0, table.size() - 1));
    } else {
      console_.print(table);
    }
  }

  Duration elapsed() const { return clock_.now() - runner_.started(); }

  asio::io_context& io_;
  Clock& clock_;
  const LoadSettings settings_;
  const Console& console_;
  Progress progress_;
  LoadSummary summary_;
  HttpTransport transport_;
  TrafficClient client_;
  LoadRunner runner_;
  Scope scope_;
  int signalled_ = 0;
  std::string lost_;  // where lines could not be written
  bool write_failed_ = false;
};

}  // namespace

int run_load(LoadSettings settings, const Console& console) {
  asio::io_context io(1);
  RealClock clock;
  RealRandom real;
  SeededRandom seeded(settings.seed);
  Random& random = settings.seed == 0 ? static_cast<Random&>(real) : seeded;
  LoadSession session(io, clock, random, std::move(settings), console);
  return session.run();
}

}  // namespace mesclun::client
