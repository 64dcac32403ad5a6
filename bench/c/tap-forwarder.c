/*
 * The limit for a TAP: one TAP and one VM on a unix datagram socket, and the system calls that cannot be done without.
 *
 *   tap-forwarder DEVICE MTU PATH
 *
 * From the TAP: read until it has nothing more or a batch is full, then one sendmmsg on the socket, which is connected to its peer.
 * To the TAP: one recvmmsg, then a write for each frame. It learns and looks up addresses as forwarder.c does, and does nothing else.
 * A full peer is waited for, as in forwarder.c with --full wait.
 *
 * Makes the TAP in its own network namespace, up. Prints "ready". Ends on SIGTERM.
 */
#define _GNU_SOURCE
#include "common.h"
#include "fdb.h"
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BATCH = 64, STRIDE = 9216, SEND_BUFFER = 8 << 20, STOP_CHECK_MS = 500 };
enum { TAP, VM };

static struct mmsghdr rx[BATCH], tx[BATCH];
static struct iovec rx_iov[BATCH], tx_iov[BATCH];
static struct sockaddr_un rx_address[BATCH];
static uint8_t *pool;

/* Where the frame goes, having learned where it comes from. */
static inline int egress_of (const uint8_t *frame, int ingress) {
  learn(mac_at(frame + 6), ingress);
  return look_up(mac_at(frame));
}

static int open_tap (const char *device, int mtu) {
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) die("%s", device);
  request.ifr_mtu = mtu;
  if (ioctl(control, SIOCSIFMTU, &request) < 0) die("mtu %d", mtu);
  request.ifr_flags = IFF_UP;
  if (ioctl(control, SIOCSIFFLAGS, &request) < 0) die("up");
  close(control);
  return fd;
}

static void send_all (int fd, unsigned count) {
  for (unsigned at = 0; at < count && !stopping; ) {
    int sent = sendmmsg(fd, tx + at, count - at, MSG_NOSIGNAL);
    if (sent > 0) at += (unsigned)sent;
    else if (errno != EAGAIN && errno != EINTR) at++;
  }
}

static void from_tap (int tap, int vm, bool connected) {
  unsigned count = 0;
  for (unsigned i = 0; i < BATCH; i++) {
    ssize_t length = read(tap, rx_iov[i].iov_base, STRIDE);
    if (length < 0) break;
    if (egress_of(rx_iov[i].iov_base, TAP) == TAP) continue;
    tx_iov[count++] = (struct iovec){ rx_iov[i].iov_base, (size_t)length };
  }
  if (connected) send_all(vm, count);
}

static void from_vm (int vm, int tap, bool *connected) {
  for (unsigned i = 0; i < BATCH; i++) rx[i].msg_hdr.msg_namelen = *connected ? 0 : sizeof rx_address[i];
  int count = recvmmsg(vm, rx, BATCH, MSG_DONTWAIT, NULL);
  if (count > 0 && !*connected) {
    if (connect(vm, (struct sockaddr *)&rx_address[0], rx[0].msg_hdr.msg_namelen) < 0) die("connect");
    for (unsigned i = 0; i < BATCH; i++) rx[i].msg_hdr.msg_name = NULL;
    *connected = true;
  }
  for (int i = 0; i < count; i++) {
    if (rx[i].msg_len < 14 || egress_of(rx_iov[i].iov_base, VM) == VM) continue;
    if (write(tap, rx_iov[i].iov_base, rx[i].msg_len) < 0 && errno != EAGAIN) die("write");
  }
}

int main (int argc, char **argv) {
  errno = 0;
  if (argc != 4) die("usage: tap-forwarder DEVICE MTU PATH");
  serve_parent();
  pool = aligned_alloc(64, (size_t)BATCH * STRIDE);
  if (!pool) die("out of memory");
  for (unsigned i = 0; i < BATCH; i++) {
    rx_iov[i] = (struct iovec){ pool + (size_t)i * STRIDE, STRIDE };
    rx[i].msg_hdr = (struct msghdr){ .msg_iov = &rx_iov[i], .msg_iovlen = 1, .msg_name = &rx_address[i] };
    tx[i].msg_hdr = (struct msghdr){ .msg_iov = &tx_iov[i], .msg_iovlen = 1 };
  }

  int tap = open_tap(argv[1], (int)number("MTU", argv[2])), vm = bound_datagram_socket(argv[3]);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  send_buffer(vm, SEND_BUFFER);
  timeouts(vm, STOP_CHECK_MS);
  struct epoll_event tap_event = { .events = EPOLLIN, .data.fd = tap }, vm_event = { .events = EPOLLIN, .data.fd = vm };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, tap, &tap_event) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, vm, &vm_event) < 0) {
    die("epoll_ctl");
  }
  bool connected = false;
  puts("ready");
  while (!stopping) {
    struct epoll_event events[2];
    int ready = epoll_wait(epoll, events, 2, STOP_CHECK_MS);
    for (int e = 0; e < ready; e++) {
      if (events[e].data.fd == tap) from_tap(tap, vm, connected);
      else from_vm(vm, tap, &connected);
    }
  }
  unlink(argv[3]);
  return 0;
}
