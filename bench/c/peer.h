/*
 * One VM's end of the wire, as a datagram socket that sendmmsg and recvmmsg work on whatever is behind it:
 *
 *   QEMU     binds its own path, never connects, names the switch's path in every datagram
 *   vfkit    binds its own path, connects to the switch's, sends "VFKT" first
 *   stream   connects to the switch's path as a stream; frames behind 4-byte lengths. load.c has its own way of sending and receiving
 *   udp      binds 127.0.0.1, names the switch's port in every datagram
 *   vxlan    the same with a VXLAN header in front of the frame: the sender at 127.0.0.2 in network 1, the receiver at 127.0.0.3 in network 2
 *   vde      a port of vde_switch, opened by libvdeplug; the data socket is used directly
 *
 * Where the path is `device:NAME` it is a packet socket on that interface, whatever the kind: the host's end of a TAP.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "common.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#ifdef WITH_VDE
#include <libvdeplug.h>
#endif

enum kind { QEMU, VFKIT, VDE, STREAM, UDP, VXLAN };

struct peer {
  int fd;
  union { struct sockaddr_un path; struct sockaddr_in inet; } to;
  socklen_t to_length;       /* 0: the socket is connected */
  uint8_t header[8];         /* in front of every frame */
  size_t header_length;
  char path[sizeof ((struct sockaddr_un *)0)->sun_path];
};

/* vfkit's; QEMU leaves the kernel's 208 KiB, which is room for 13 jumbo frames. */
enum { PEER_SEND_BUFFER = 1 << 20, PEER_TIMEOUT_MS = 100, PEER_UDP_BUFFER = 8 << 20 };

/* Hears what the kernel receives on the interface, and not what it sends itself. */
static inline int packet_socket (const char *device) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), on = 1, bytes = 8 << 20;
  struct sockaddr_ll address = {
    .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device),
  };
  if (fd < 0 || address.sll_ifindex == 0) die("%s", device);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind %s", device);
  return fd;
}

/* `to` is the switch's path; the peer's own is made in `directory` and contains `name`. */
static inline void peer_open (
  struct peer *peer, enum kind kind, const char *to, const char *directory, const char *name
) {
  memset(peer, 0, sizeof *peer);
  if (!strncmp(to, "device:", 7)) {
    peer->fd = packet_socket(to + 7);
    send_buffer(peer->fd, PEER_SEND_BUFFER);
    timeouts(peer->fd, PEER_TIMEOUT_MS);
    return;
  }
  if (kind == VDE) {
#ifdef WITH_VDE
    VDECONN *connection = vde_open((char *)(uintptr_t)to, (char *)"bench", NULL);
    if (!connection) die("vde_open %s", to);
    peer->fd = vde_datafd(connection);
#else
    errno = 0;
    die("built without libvdeplug");
#endif
  } else if (kind == UDP || kind == VXLAN) {
    bool sends = !strcmp(name, "sender");
    uint16_t port = (uint16_t)number("--to", to);
    peer->to.inet = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)
    };
    peer->to_length = sizeof peer->to.inet;
    if (kind == UDP) peer->fd = udp_socket(0x7f000001, 0, PEER_UDP_BUFFER);
    else {
      peer->fd = udp_socket(sends ? 0x7f000002 : 0x7f000003, port, PEER_UDP_BUFFER);
      memcpy(peer->header, (uint8_t[]){ 8, 0, 0, 0, 0, 0, sends ? 1 : 2, 0 }, sizeof peer->header);
      peer->header_length = sizeof peer->header;
    }
  } else if (kind == STREAM) {
    struct sockaddr_un address = unix_address(to);
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect %s", to);
  } else {
    snprintf(peer->path, sizeof peer->path, "%s/%d-%s.sock", directory, (int)getpid(), name);
    peer->fd = bound_datagram_socket(peer->path);
    peer->to.path = unix_address(to);
    peer->to_length = sizeof peer->to.path;
  }
  if (kind != UDP && kind != VXLAN) send_buffer(peer->fd, PEER_SEND_BUFFER);
  timeouts(peer->fd, PEER_TIMEOUT_MS);
  if (kind == VFKIT) {
    if (connect(peer->fd, (struct sockaddr *)&peer->to, peer->to_length) < 0) die("connect %s", to);
    peer->to_length = 0;
    if (send(peer->fd, "VFKT", 4, 0) != 4) die("VFKT");
  }
}

static inline void peer_close (struct peer *peer) {
  if (peer->path[0]) remove(peer->path);
}

/* Addresses every message of a batch to the switch. */
static inline void peer_address (struct peer *peer, struct msghdr *message) {
  message->msg_name = peer->to_length ? &peer->to : NULL;
  message->msg_namelen = peer->to_length;
}

#endif
