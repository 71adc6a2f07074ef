#include "runtime/exec_guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mesclun::runtime {

namespace {

constexpr int kCannotStart = 127;
constexpr int kKillAgainMinMs = 2;
constexpr int kKillAgainMaxMs = 200;

void say(int socket, int32_t kind, int32_t value, int descriptor = -1) {
  GuardWord word{.kind = kind, .value = value};
  iovec part{&word, sizeof word};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    ::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  // A few words fit into any socket, whether it blocks or not.
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

// Both ends of a fresh terminal, or -1.
struct Terminal {
  int master = -1;
  int slave = -1;
};
Terminal open_terminal(const GuardSetup& setup) {
  Terminal terminal{.master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  if (terminal.master < 0 || ::unlockpt(terminal.master) != 0) return terminal;
  // By its master: the name in /dev/pts may be of another file system.
  terminal.slave = ::ioctl(terminal.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  winsize size{};
  size.ws_row = setup.rows;
  size.ws_col = setup.columns;
  ::ioctl(terminal.master, TIOCSWINSZ, &size);
  return terminal;
}

[[noreturn]] void become(char** arguments, int slave, int trouble) {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (slave >= 0) {
    ::ioctl(slave, TIOCSCTTY, 0);
    for (int i = 0; i < 3; ++i) ::dup2(slave, i);
  }
  // Whatever was inherited by mistake ends here; `trouble` is among it and tells by closing.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execvp(arguments[0], arguments);
  const int error = errno;
  if (::write(trouble, &error, sizeof error) < 0) ::_exit(kCannotStart);
  ::_exit(kCannotStart);
}

// The parent in what /proc/<pid>/stat says: "17 (any (name)) S 1 ...".
pid_t parent_of(const char* entry) {
  char path[64];
  ::snprintf(path, sizeof path, "/proc/%.20s/stat", entry);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[512];
  const ssize_t n = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (n <= 0) return 0;
  text[n] = 0;
  const char* end = ::strrchr(text, ')');
  if (end == nullptr || ::strlen(end) < 5) return 0;
  return static_cast<pid_t>(::atoi(end + 4));
}

void kill_children() {
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return;
  const pid_t self = ::getpid();
  while (const dirent* entry = ::readdir(processes)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) == self) ::kill(::atoi(entry->d_name), SIGKILL);
  }
  ::closedir(processes);
}

// Children of what dies become ours, so that this finds all of them, whatever session they are in.
void kill_all() {
  for (int pause = kKillAgainMinMs;; pause = pause < kKillAgainMaxMs ? 2 * pause : pause) {
    kill_children();
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0 && errno == ECHILD) return;
    ::poll(nullptr, 0, pause);
  }
}

// The command's status once it has ended; -1 while it runs.
int collect(pid_t command) {
  int status = -1;
  int each = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(-1, &each, WNOHANG)) > 0) {
    if (ended == command) status = each;
  }
  return status;
}

// False: the agent is gone, or says what nobody understands.
bool hear(int socket, pid_t command, int master) {
  GuardWord word{};
  const ssize_t n = ::recv(socket, &word, sizeof word, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n != sizeof word || word.kind != kGuardSignal || word.value < 1 || word.value >= NSIG) {
    return false;
  }
  const pid_t foreground = master < 0 ? -1 : ::tcgetpgrp(master);
  ::kill(foreground > 0 ? -foreground : -command, word.value);
  return true;
}

// Descriptors 0, 1 and 2 are the command's alone: who reads them waits for their end.
void let_go_of_streams() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) {
    ::close(i);
    if (null >= 0) ::dup2(null, i);
  }
  if (null > 2) ::close(null);
}

[[noreturn]] void watch(int socket, pid_t command, int master, int signals) {
  while (true) {
    pollfd waits[] = {{.fd = socket, .events = POLLIN, .revents = 0},
                      {.fd = signals, .events = POLLIN, .revents = 0}};
    ::poll(waits, 2, -1);
    if (waits[1].revents != 0) {
      signalfd_siginfo ignored{};
      while (::read(signals, &ignored, sizeof ignored) > 0) {
      }
    }
    const int status = collect(command);
    if (status != -1) say(socket, kGuardExited, status);
    if (status != -1 || (waits[0].revents != 0 && !hear(socket, command, master))) {
      kill_all();
      ::_exit(0);
    }
  }
}

}  // namespace

void refuse_exec(int socket, int error) {
  say(socket, kGuardRefused, error);
  ::_exit(kCannotStart);
}

void run_exec_guard(const GuardSetup& setup) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_NAME, "mesclun-exec");
  sigset_t ended;
  ::sigemptyset(&ended);
  ::sigaddset(&ended, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ended, nullptr);
  const int signals = ::signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
  int trouble[2];
  if (signals < 0 || ::pipe2(trouble, O_CLOEXEC) != 0) refuse_exec(setup.socket, errno);
  Terminal terminal;
  if (setup.tty) {
    terminal = open_terminal(setup);
    if (terminal.slave < 0) refuse_exec(setup.socket, errno);
  }
  const pid_t command = ::fork();
  if (command == 0) become(setup.arguments, terminal.slave, trouble[1]);
  if (command < 0) refuse_exec(setup.socket, errno);
  ::close(trouble[1]);
  if (terminal.slave >= 0) ::close(terminal.slave);
  let_go_of_streams();
  int error = 0;
  ssize_t n = 0;
  while ((n = ::read(trouble[0], &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (n > 0) refuse_exec(setup.socket, error);
  ::close(trouble[0]);
  say(setup.socket, kGuardStarted, 0, terminal.master);
  watch(setup.socket, command, terminal.master, signals);
}

}  // namespace mesclun::runtime
