/*
 * The limit for streams: a learning switch over AF_UNIX stream sockets with nothing in it but the work itself. See
 * forwarder.c, which is the same over datagrams.
 *
 *   stream-forwarder PATH [--read BYTES] [--cpu N]
 *
 * Frames come behind 4-byte big-endian lengths. Reads are large (1 MiB), frames are parsed where they lie, and frames that follow each
 * other to the same port leave in one write, lengths included. A port that is full is waited for, which a benchmark may and
 * a switch may not.
 *
 * Prints "ready" when it listens. Ends on SIGTERM and prints its counters as one line of JSON.
 */
#define _GNU_SOURCE
#include "common.h"
#include "fdb.h"
#include <arpa/inet.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  MAX_LENGTH = 69632,        /* QEMU's NET_BUFSIZE */
  MAX_PORTS = 64,
  SOCKET_BUFFER = 1 << 20,
  STOP_CHECK_MS = 500,
  NOBODY = -2,
};

struct port {
  int fd;                    /* -1: nobody there */
  uint8_t *buffer;
  size_t filled;             /* bytes of a frame that is not complete, at the start of the buffer */
};

static size_t read_bytes = 1 << 20;
static struct port ports[MAX_PORTS];
static int port_count;
static struct { uint64_t received, flooded, writes; } counters;

static void leave (int port) {
  close(ports[port].fd);
  ports[port].fd = -1;
}

static void write_all (int port, const uint8_t *from, size_t length) {
  counters.writes++;
  while (length > 0 && ports[port].fd >= 0 && !stopping) {
    ssize_t sent = send(ports[port].fd, from, length, MSG_NOSIGNAL);
    if (sent > 0) { from += sent; length -= (size_t)sent; continue; }
    if (errno != EAGAIN && errno != EINTR) leave(port);
  }
}

/* Sends the frames from `from` to `to`, all for one port or for all. */
static void send_run (int ingress, int egress, const uint8_t *from, const uint8_t *to) {
  if (from == to || egress == NOBODY || egress == ingress) return;
  if (egress != FLOOD) { write_all(egress, from, (size_t)(to - from)); return; }
  for (int port = 0; port < port_count; port++) {
    if (port != ingress && ports[port].fd >= 0) write_all(port, from, (size_t)(to - from));
  }
}

static void serve (int ingress) {
  struct port *port = &ports[ingress];
  ssize_t got = recv(port->fd, port->buffer + port->filled, read_bytes, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) { leave(ingress); return; }
  const uint8_t *at = port->buffer, *end = port->buffer + port->filled + got, *run = at;
  int egress = NOBODY;
  while (end - at >= 4) {
    uint32_t length;
    memcpy(&length, at, 4);
    length = ntohl(length);
    if (length == 0 || length > MAX_LENGTH) { leave(ingress); return; }
    if (at + 4 + length > end) break;
    int next = NOBODY;
    uint64_t source = length >= 14 ? mac_at(at + 10) : 0;
    if (source != 0 && !(source & 1)) {
      learn(source, ingress);
      next = look_up(mac_at(at + 4));
      if (next == FLOOD) counters.flooded++;
    }
    counters.received++;
    if (next != egress) {
      send_run(ingress, egress, run, at);
      run = at;
      egress = next;
    }
    at += 4 + length;
  }
  send_run(ingress, egress, run, at);
  port->filled = (size_t)(end - at);
  memmove(port->buffer, at, port->filled);
}

static void admit (int epoll, int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0 || port_count == MAX_PORTS) die("accept");
  send_buffer(fd, SOCKET_BUFFER);
  timeouts(fd, STOP_CHECK_MS);
  struct port *port = &ports[port_count];
  *port = (struct port){ .fd = fd, .buffer = malloc(read_bytes + MAX_LENGTH + 4) };
  if (!port->buffer) die("out of memory");
  struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)port_count++ };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

int main (int argc, char **argv) {
  const char *path = NULL;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--read") && i + 1 < argc) read_bytes = (size_t)number("--read", argv[++i]);
    else if (!strcmp(argv[i], "--cpu") && i + 1 < argc) pin((int)number("--cpu", argv[++i]));
    else path = argv[i];
  }
  errno = 0;
  if (!path) die("usage: stream-forwarder PATH [--read BYTES] [--cpu N]");

  serve_parent();

  struct sockaddr_un address = unix_address(path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) {
    die("listen on %s", path);
  }
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = { .events = EPOLLIN, .data.u32 = MAX_PORTS };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
  puts("ready");
  while (!stopping) {
    struct epoll_event events[MAX_PORTS];
    int ready = epoll_wait(epoll, events, MAX_PORTS, STOP_CHECK_MS);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 == MAX_PORTS) admit(epoll, listener);
      else if (ports[events[i].data.u32].fd >= 0) serve((int)events[i].data.u32);
    }
  }
  unlink(path);
  printf("{\"received\":%lu,\"flooded\":%lu,\"writes\":%lu}\n", counters.received, counters.flooded, counters.writes);
  return 0;
}
