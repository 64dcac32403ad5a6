/*
 * The limit for UDP: a learning switch over one UDP socket with nothing in it but the work itself. See forwarder.c, which is the same
 * over unix sockets. A peer is known by its address and port; frames leave by sendmmsg with the peer's address in every message.
 *
 *   udp-forwarder PORT [--cpu N]
 *
 * Listens on 127.0.0.1. UDP has no back-pressure, so nothing is waited for: what the socket's buffer does not hold is lost.
 *
 * Prints "ready" when it listens. Ends on SIGTERM and prints its counters as one line of JSON.
 */
#define _GNU_SOURCE
#include "common.h"
#include "fdb.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <unistd.h>

enum {
  BATCH = 64,
  MAX_FRAME = 65550,
  STRIDE = 65600,            /* a multiple of 64 bytes: no two frames share a cache line */
  MAX_PORTS = 64,
  SOCKET_BUFFER = 4 << 20,   /* what tapswitch asks for */
  STOP_CHECK_MS = 500,
};

static struct sockaddr_in ports[MAX_PORTS];
static int port_count;

static uint8_t *pool;
static struct mmsghdr rx[BATCH], tx[BATCH];
static struct iovec rx_iov[BATCH], tx_iov[BATCH];
static struct sockaddr_in rx_address[BATCH];
static unsigned tx_count;

static struct { uint64_t received, transmitted, flooded, failed; } counters;

static inline bool is_at (int port, const struct sockaddr_in *address) {
  return ports[port].sin_port == address->sin_port && ports[port].sin_addr.s_addr == address->sin_addr.s_addr;
}

static int port_of_peer (const struct sockaddr_in *address) {
  static int last;
  if (port_count && is_at(last, address)) return last;
  for (int port = 0; port < port_count; port++) if (is_at(port, address)) return last = port;
  if (port_count == MAX_PORTS) return -1;
  ports[port_count] = *address;
  return last = port_count++;
}

static void flush_tx (int fd) {
  unsigned at = 0;
  while (at < tx_count) {
    int sent = sendmmsg(fd, tx + at, tx_count - at, MSG_DONTWAIT);
    if (sent > 0) { at += (unsigned)sent; counters.transmitted += (unsigned)sent; continue; }
    if (errno == EINTR) continue;
    counters.failed++;
    at++;
  }
  tx_count = 0;
}

static inline void queue_tx (int fd, unsigned frame, int port) {
  if (tx_count == BATCH) flush_tx(fd);
  tx_iov[tx_count].iov_base = rx_iov[frame].iov_base;
  tx_iov[tx_count].iov_len = rx[frame].msg_len;
  tx[tx_count++].msg_hdr.msg_name = &ports[port];
}

static inline void forward (int fd, unsigned frame, int ingress) {
  const uint8_t *data = rx_iov[frame].iov_base;
  if (rx[frame].msg_len < 14) return;
  uint64_t source = mac_at(data + 6);
  if ((source & 1) || source == 0) return;
  learn(source, ingress);
  int egress = look_up(mac_at(data));
  if (egress == ingress) return;
  if (egress != FLOOD) { queue_tx(fd, frame, egress); return; }
  counters.flooded++;
  for (int port = 0; port < port_count; port++) if (port != ingress) queue_tx(fd, frame, port);
}

int main (int argc, char **argv) {
  int listen = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--cpu") && i + 1 < argc) pin((int)number("--cpu", argv[++i]));
    else listen = (int)number("PORT", argv[i]);
  }
  errno = 0;
  if (!listen) die("usage: udp-forwarder PORT [--cpu N]");

  serve_parent();

  int fd = udp_socket(0x7f000001, (uint16_t)listen, SOCKET_BUFFER);
  timeouts(fd, STOP_CHECK_MS);
  pool = aligned_alloc(64, (size_t)BATCH * STRIDE);
  if (!pool) die("out of memory");
  for (unsigned i = 0; i < BATCH; i++) {
    rx_iov[i] = (struct iovec){ pool + (size_t)i * STRIDE, MAX_FRAME };
    rx[i].msg_hdr = (struct msghdr){ .msg_iov = &rx_iov[i], .msg_iovlen = 1, .msg_name = &rx_address[i] };
    tx[i].msg_hdr = (struct msghdr){ .msg_iov = &tx_iov[i], .msg_iovlen = 1, .msg_namelen = sizeof ports[0] };
  }
  puts("ready");
  while (!stopping) {
    for (unsigned i = 0; i < BATCH; i++) rx[i].msg_hdr.msg_namelen = sizeof rx_address[i];
    int count = recvmmsg(fd, rx, BATCH, MSG_WAITFORONE, NULL);
    if (count > 0) counters.received += (unsigned)count;
    for (int i = 0; i < count; i++) {
      int port = port_of_peer(&rx_address[i]);
      if (port >= 0) forward(fd, (unsigned)i, port);
    }
    flush_tx(fd);
  }
  printf("{\"received\":%lu,\"transmitted\":%lu,\"flooded\":%lu,\"failed\":%lu}\n",
    counters.received, counters.transmitted, counters.flooded, counters.failed);
  return 0;
}
