/*
 * The limit: a learning switch over AF_UNIX datagram sockets with nothing in it but the work itself.
 *
 * It does what tapswitch does to a frame (who sent it, learn the source, look the destination up, send it there or
 * flood it) and nothing else: no ageing, no policy, no counters per port, no queues. What it reaches is what the kernel
 * allows on this machine, and the figure every other forwarder is compared to.
 *
 *   --by-path PATH      many peers on PATH. A peer is known by its source address; frames leave by sendmmsg with the
 *                       peer's path in every message.
 *   --connected PATH    many peers on PATH as before, but frames leave through one socket per peer, connected to it: no
 *                       path look-up per frame.
 *   --one PATH PATH     one peer on each path. The socket is connected to its peer after the first datagram.
 *
 * A full peer (EAGAIN):
 *   --full wait         (default) block in sendmmsg until it has room. The sender is held back by its own full queue,
 *                       nothing is lost, and all move at the speed of the slowest. One slow peer holds up all others: a
 *                       benchmark may, a switch may not. It is the higher limit: dropping delivers a third less, since
 *                       frames are received only to be thrown away.
 *   --full drop         drop what the batch still holds for it.
 *
 * Prints "ready" when its sockets are bound. Ends on SIGTERM and prints its counters as one line of JSON.
 */
#define _GNU_SOURCE
#include "common.h"
#include "fdb.h"
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  BATCH = 64,
  MAX_FRAME = 65550,
  STRIDE = 65600,            /* a multiple of 64 bytes: no two frames share a cache line */
  MAX_PORTS = 1024,
  PEER_SLOTS = 4 * MAX_PORTS,
  SEND_BUFFER = 8 << 20,
  STOP_CHECK_MS = 500,       /* no call blocks longer, so a signal that comes between check and call is still seen */
};

enum mode { NONE, BY_PATH, CONNECTED, ONE };

struct port {
  struct sockaddr_un address;
  socklen_t address_length;  /* 0: nobody there yet */
  int fd;                    /* frames leave here */
};

static enum mode mode;
static bool wait_when_full = true;

static struct port ports[MAX_PORTS];
static int port_count;
static int peer_slots[PEER_SLOTS]; /* port + 1, by hash of the peer's address */

static uint8_t *pool;
static struct mmsghdr rx[BATCH], tx[BATCH];
static struct iovec rx_iov[BATCH], tx_iov[BATCH];
static struct sockaddr_un rx_address[BATCH];
static int tx_port[BATCH];
static unsigned tx_count;

static struct { uint64_t received, transmitted, flooded, full, failed; } counters;

static void connect_port (struct port *port) {
  const struct sockaddr *address = (const struct sockaddr *)&port->address;
  if (connect(port->fd, address, port->address_length) < 0) die("connect %s", port->address.sun_path);
}

static inline bool is_at (const struct port *port, const struct sockaddr_un *address, socklen_t length) {
  return port->address_length == length && memcmp(&port->address, address, length) == 0;
}

/* The port of the peer that sent this datagram, made if it is new; -1 when the peer cannot be answered. */
static int port_of_peer (int listener, const struct sockaddr_un *address, socklen_t length) {
  static int last;
  if (length <= offsetof(struct sockaddr_un, sun_path) || length > sizeof *address) return -1;
  if (port_count && is_at(&ports[last], address, length)) return last;
  uint32_t hash = 2166136261u;
  for (socklen_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)address)[i]) * 16777619u;
  unsigned slot = hash % PEER_SLOTS;
  for (; peer_slots[slot]; slot = (slot + 1) % PEER_SLOTS) {
    if (is_at(&ports[peer_slots[slot] - 1], address, length)) return last = peer_slots[slot] - 1;
  }
  if (port_count == MAX_PORTS) return -1;
  struct port *port = &ports[port_count];
  memcpy(&port->address, address, length);
  port->address_length = length;
  port->fd = listener;
  if (mode == CONNECTED) {
    port->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (port->fd < 0) die("socket");
    send_buffer(port->fd, SEND_BUFFER);
    timeouts(port->fd, STOP_CHECK_MS);
    connect_port(port);
  }
  peer_slots[slot] = ++port_count;
  return last = port_count - 1;
}

/* Sends what waits in tx. In the connected modes all of it is for one port. */
static void flush_tx (void) {
  int fd = tx_count ? ports[tx_port[0]].fd : -1;
  int flags = MSG_NOSIGNAL | (wait_when_full ? 0 : MSG_DONTWAIT);
  unsigned at = 0;
  while (at < tx_count) {
    int sent = sendmmsg(fd, tx + at, tx_count - at, flags);
    if (sent > 0) { at += (unsigned)sent; counters.transmitted += (unsigned)sent; continue; }
    if (errno != EAGAIN && errno != EINTR) { counters.failed++; at++; continue; }
    if (stopping) break;
    if (errno == EINTR || wait_when_full) continue;
    int full = tx_port[at];
    while (at < tx_count && tx_port[at] == full) { counters.full++; at++; }
  }
  tx_count = 0;
}

static inline void queue_tx (unsigned frame, int port) {
  if (tx_count == BATCH || (mode != BY_PATH && tx_count && tx_port[0] != port)) flush_tx();
  tx_iov[tx_count].iov_base = rx_iov[frame].iov_base;
  tx_iov[tx_count].iov_len = rx[frame].msg_len;
  if (mode == BY_PATH) {
    tx[tx_count].msg_hdr.msg_name = &ports[port].address;
    tx[tx_count].msg_hdr.msg_namelen = ports[port].address_length;
  }
  tx_port[tx_count++] = port;
}

static inline void forward (unsigned frame, int ingress) {
  const uint8_t *data = rx_iov[frame].iov_base;
  if (rx[frame].msg_len < 14) return;
  uint64_t source = mac_at(data + 6);
  if (is_group(source) || source == 0) return;
  learn(source, ingress);
  int egress = look_up(mac_at(data));
  if (egress == ingress) return;
  if (egress != FLOOD) { queue_tx(frame, egress); return; }
  counters.flooded++;
  for (int port = 0; port < port_count; port++) {
    if (port != ingress && ports[port].address_length) queue_tx(frame, port);
  }
}

static int receive (int fd, int flags) {
  for (unsigned i = 0; i < BATCH; i++) rx[i].msg_hdr.msg_namelen = sizeof rx_address[i];
  int count = recvmmsg(fd, rx, BATCH, flags, NULL);
  if (count > 0) counters.received += (unsigned)count;
  return count;
}

static void serve_many (const char *path) {
  int fd = bound_datagram_socket(path);
  send_buffer(fd, SEND_BUFFER);
  timeouts(fd, STOP_CHECK_MS);
  puts("ready");
  while (!stopping) {
    int count = receive(fd, MSG_WAITFORONE);
    for (int i = 0; i < count; i++) {
      int port = port_of_peer(fd, &rx_address[i], rx[i].msg_hdr.msg_namelen);
      if (port >= 0) forward((unsigned)i, port);
    }
    flush_tx();
  }
}

static void serve_one_each (char *const paths[2]) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (port_count = 0; port_count < 2; port_count++) {
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)port_count };
    ports[port_count].fd = bound_datagram_socket(paths[port_count]);
    send_buffer(ports[port_count].fd, SEND_BUFFER);
    timeouts(ports[port_count].fd, STOP_CHECK_MS);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, ports[port_count].fd, &event) < 0) die("epoll_ctl");
  }
  puts("ready");
  while (!stopping) {
    struct epoll_event events[2];
    int ready = epoll_wait(epoll, events, 2, STOP_CHECK_MS);
    for (int e = 0; e < ready; e++) {
      int ingress = (int)events[e].data.u32;
      struct port *port = &ports[ingress];
      int count = receive(port->fd, MSG_DONTWAIT);
      if (count > 0 && port->address_length == 0) {
        port->address = rx_address[0];
        port->address_length = rx[0].msg_hdr.msg_namelen;
        connect_port(port);
      }
      for (int i = 0; i < count; i++) forward((unsigned)i, ingress);
      flush_tx();
    }
  }
}

int main (int argc, char **argv) {
  char *paths[2] = { 0 };
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--by-path") && i + 1 < argc) { mode = BY_PATH; paths[0] = argv[++i]; }
    else if (!strcmp(argv[i], "--connected") && i + 1 < argc) { mode = CONNECTED; paths[0] = argv[++i]; }
    else if (!strcmp(argv[i], "--one") && i + 2 < argc) { mode = ONE; paths[0] = argv[++i]; paths[1] = argv[++i]; }
    else if (!strcmp(argv[i], "--full") && i + 1 < argc) wait_when_full = strcmp(argv[++i], "drop") != 0;
    else if (!strcmp(argv[i], "--cpu") && i + 1 < argc) pin((int)number("--cpu", argv[++i]));
    else mode = NONE, i = argc;
  }
  errno = 0;
  if (mode == NONE) {
    die("usage: forwarder --by-path PATH | --connected PATH | --one PATH PATH  [--full wait|drop] [--cpu N]");
  }

  serve_parent();

  pool = aligned_alloc(64, (size_t)BATCH * STRIDE);
  if (!pool) die("out of memory");
  for (unsigned i = 0; i < BATCH; i++) {
    rx_iov[i] = (struct iovec){ pool + (size_t)i * STRIDE, MAX_FRAME };
    rx[i].msg_hdr = (struct msghdr){ .msg_iov = &rx_iov[i], .msg_iovlen = 1, .msg_name = &rx_address[i] };
    tx[i].msg_hdr = (struct msghdr){ .msg_iov = &tx_iov[i], .msg_iovlen = 1 };
  }

  if (mode == ONE) serve_one_each(paths);
  else serve_many(paths[0]);

  unlink(paths[0]);
  if (paths[1]) unlink(paths[1]);
  printf("{\"received\":%lu,\"transmitted\":%lu,\"flooded\":%lu,\"full\":%lu,\"failed\":%lu,\"refused\":%lu}\n",
    counters.received, counters.transmitted, counters.flooded, counters.full, counters.failed, fdb_refused);
  return 0;
}
