// The first process of every container that we make: a static program, mounted into it, which knows
// nothing but these lines.
//
// It connects to the agent's socket, which is mounted beside it, and hears what to run; so the
// container's network stands, and the metadata service answers, before the application's first
// instruction, and a container that is started again may get another environment. Then it is the
// container's init: it passes signals on, collects orphans, and ends as the application ends.
//
// The words on the socket are in starter_door.h. Only the C library: it runs in images of any kind.
//
// With the name of a socket beside that one as its argument it is the guard of a command that runs
// beside the application (exec_guard.h).
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/exec_guard.h"

extern char** environ;

namespace {

constexpr char kSocket[] = "socket";
constexpr uint32_t kBytesMax = 8 * 1024 * 1024;
constexpr int kCannotStart = 127;
constexpr int kForwarded[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,
                              SIGUSR2, SIGCONT, SIGWINCH, SIGTSTP};

volatile pid_t application = 0;

// Before there is an application nobody would hear it.
void pass_on(int signal) {
  if (application > 0) {
    // All that it started, unless it has just begun.
    if (::kill(-application, signal) != 0) ::kill(application, signal);
  } else if (signal == SIGTERM || signal == SIGINT) {
    ::_exit(128 + signal);
  }
}

bool read_all(int from, void* to, size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = ::read(from, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

struct Orders {
  uint32_t bytes;
  uint32_t arguments;
  uint32_t variables;
};

// The texts that follow the orders: arguments, then variables as NAME=VALUE, each ended by a zero.
char** read_texts(int from, const Orders& orders) {
  const uint64_t count = uint64_t{orders.arguments} + orders.variables;
  if (orders.bytes > kBytesMax || orders.arguments == 0 || count > orders.bytes) return nullptr;
  auto* text = static_cast<char*>(::malloc(orders.bytes + size_t{1}));
  auto** list = static_cast<char**>(::calloc(count + 1, sizeof(char*)));
  if (text == nullptr || list == nullptr || !read_all(from, text, orders.bytes)) return nullptr;
  text[orders.bytes] = 0;
  const char* end = text + orders.bytes;
  for (uint64_t i = 0; i < count; ++i) {
    if (text >= end) return nullptr;
    list[i] = text;
    text += ::strlen(text) + 1;
  }
  return list;
}

int dial(const char* name) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  ::snprintf(where.sun_path, sizeof where.sun_path, "/.mesclun/door/%s", name);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return -1;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) {
    return socket;
  }
  ::close(socket);
  return -1;
}

void say(int to, char verdict, const char* text) {
  char line[256];
  const int n = ::snprintf(line, sizeof line, "%c%s", verdict, text);
  ::write(to, line, static_cast<size_t>(n));
}

// What could not be started, as the shell says it; the number is that of the child.
[[noreturn]] void run(char** arguments, int trouble) {
  ::setsid();
  for (const int signal : kForwarded) ::signal(signal, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvp(arguments[0], arguments);
  const int error = errno;
  ::write(trouble, &error, sizeof error);
  ::_exit(kCannotStart);
}

int exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

[[noreturn]] void start(int door, char** texts, const Orders& orders) {
  for (uint32_t i = 0; i < orders.variables; ++i) ::putenv(texts[orders.arguments + i]);
  texts[orders.arguments] = nullptr;
  int trouble[2];
  if (::pipe2(trouble, O_CLOEXEC) != 0) ::_exit(kCannotStart);
  const pid_t child = ::fork();
  if (child == 0) run(texts, trouble[1]);
  if (child < 0) {
    say(door, '-', ::strerror(errno));
    ::_exit(kCannotStart);
  }
  application = child;
  ::close(trouble[1]);
  int error = 0;
  if (read_all(trouble[0], &error, sizeof error)) {
    say(door, '-', ::strerror(error));
    ::_exit(kCannotStart);
  }
  ::close(trouble[0]);
  say(door, '+', "");
  ::close(door);
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    // What it leaves behind ends with this process, the first of its namespace.
    if (ended == child) ::_exit(exit_code(status));
    if (ended < 0 && errno != EINTR) ::_exit(kCannotStart);
  }
}

// The orders, and the ends of the command's pipes, which become our own streams.
bool read_guard_orders(int from, mesclun::runtime::GuardOrders& orders) {
  iovec part{&orders, sizeof orders};
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  if (n != static_cast<ssize_t>(sizeof orders)) return false;
  if (orders.tty != 0) return true;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_len != CMSG_LEN(3 * sizeof(int))) return false;
  int ends[3];
  ::memcpy(ends, CMSG_DATA(header), sizeof ends);
  for (int i = 0; i < 3; ++i) {
    if (::dup2(ends[i], i) < 0) return false;
    ::close(ends[i]);
  }
  return true;
}

int guard(const char* name) {
  const int socket = dial(name);
  mesclun::runtime::GuardOrders orders{};
  if (socket < 0 || !read_guard_orders(socket, orders)) return kCannotStart;
  char** texts =
      read_texts(socket, {.bytes = orders.bytes, .arguments = orders.arguments, .variables = 0});
  if (texts == nullptr) return kCannotStart;
  mesclun::runtime::run_exec_guard({.socket = socket,
                                    .arguments = texts,
                                    .tty = orders.tty != 0,
                                    .rows = orders.rows,
                                    .columns = orders.columns});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return guard(argv[1]);
  for (const int signal : kForwarded) ::signal(signal, pass_on);
  ::signal(SIGPIPE, SIG_IGN);
  // The agent may be gone for a while, and comes back to the same place.
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 50'000'000};
  for (;; ::nanosleep(&kPause, nullptr)) {
    const int door = dial(kSocket);
    if (door < 0) continue;
    Orders orders{};
    if (read_all(door, &orders, sizeof orders)) {
      char** texts = read_texts(door, orders);
      if (texts != nullptr) start(door, texts, orders);
      say(door, '-', "the orders make no sense");
    }
    ::close(door);
  }
}
