#include "companion/signal_origin.h"

#include <array>
#include <atomic>
#include <csignal>

namespace mesclun::companion {

namespace {

using Handler = void (*)(int);

// A signal handler has nothing else to look at. Lock-free, so that it may.
std::array<std::atomic<Handler>, NSIG> g_handlers{};
std::array<std::atomic<bool>, NSIG> g_from_terminal{};

void note(int number, siginfo_t* info, void*) {
  const auto at = static_cast<size_t>(number);
  // Keys come from the kernel, kill(2) from a process.
  g_from_terminal[at] = info != nullptr && info->si_code == SI_KERNEL;
  if (const Handler handler = g_handlers[at]) handler(number);
}

}  // namespace

void note_signal_origins(std::initializer_list<int> signals) {
  for (const int number : signals) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    const bool handled = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler != SIG_DFL &&
                         action.sa_handler != SIG_IGN;
    if (!handled) continue;
    g_handlers[static_cast<size_t>(number)] = action.sa_handler;
    action.sa_sigaction = note;
    action.sa_flags |= SA_SIGINFO;
    ::sigaction(number, &action, nullptr);
  }
}

bool came_from_terminal(int number) {
  return number > 0 && number < NSIG && g_from_terminal[static_cast<size_t>(number)];
}

}  // namespace mesclun::companion
