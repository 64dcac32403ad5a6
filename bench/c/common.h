/* What the benchmark's C programs share: the clock, fatal errors, signals, socket buffers, CPU pinning, option numbers. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull

__attribute__((noreturn, format(printf, 1, 2))) static void die (const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
  exit(1);
}

static inline uint64_t clock_ns (clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns (void) { return clock_ns(CLOCK_MONOTONIC); }

/* A number that uses up its whole string, else the program ends: a mistyped option must not become a zero. */
static inline double number (const char *option, const char *text) {
  char *end;
  double value = text ? strtod(text, &end) : 0;
  errno = 0;
  if (!text || end == text || *end != 0) die("%s wants a number", option);
  return value;
}

static inline void pin (int cpu) {
  cpu_set_t set;
  if (cpu < 0) return;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) die("cpu %d", cpu);
}

/* The kernel ends this program when the one that started it is gone, so a killed benchmark leaves nothing running. */
static inline void die_with_parent (void) { prctl(PR_SET_PDEATHSIG, SIGTERM); }

static volatile sig_atomic_t stopping;

static inline void note_signal (int signal) { (void)signal; stopping = 1; }

/* For a program that another one starts, reads line by line and stops by SIGTERM. A call that blocks is interrupted then. */
static inline void serve_parent (void) {
  struct sigaction action = { .sa_handler = note_signal };
  die_with_parent();
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

static inline void send_buffer (int fd, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0) return;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static inline void timeouts (int fd, int milliseconds) {
  struct timeval time = { milliseconds / 1000, milliseconds % 1000 * 1000 };
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static inline struct sockaddr_un unix_address (const char *path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  errno = 0;
  if (strlen(path) >= sizeof address.sun_path) die("%s: longer than %zu bytes", path, sizeof address.sun_path - 1);
  strcpy(address.sun_path, path);
  return address;
}

static inline void receive_buffer (int fd, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* A UDP socket of this address, in host order; port 0 takes a free one. */
static inline int udp_socket (uint32_t address, uint16_t port, int buffer_bytes) {
  struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address) };
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local) < 0) die("udp port %d", port);
  send_buffer(fd, buffer_bytes);
  receive_buffer(fd, buffer_bytes);
  return fd;
}

/* A datagram socket bound to `path`; whatever was there before is replaced. */
static inline int bound_datagram_socket (const char *path) {
  struct sockaddr_un address = unix_address(path);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  remove(path);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("%s", path);
  return fd;
}

#endif
