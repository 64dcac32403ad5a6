/*
 * From vmnet to a VM with two calls, vmnet_read and sendmmsg: the limit of what a switch can do between them. And the VM.
 *
 *   vmnet forward LIBRARY PATH MTU    an interface of LIBRARY (the stand-in), its frames to whoever sends to PATH first
 *   vmnet receive DIRECTORY PATH SECONDS
 *                                     says hello to PATH, then counts what comes: one line of JSON
 */
#define _GNU_SOURCE
#include "common.h"
#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 9216, SUCCESS = 1000, HOST_MODE = 1000, HEADER = 14, BATCH_BYTES = 256 << 10 };

struct packet {
  size_t size;
  struct iovec *iov;
  uint32_t iov_count, flags;
};

struct block {
  void *isa;
  int32_t flags, reserved;
  void *invoke;
  const unsigned long *descriptor;
};

static volatile uint32_t started;
static void on_start (struct block *self, uint32_t status, void *parameters) {
  (void)self, (void)parameters;
  started = status;
}

static void *library;
static void *symbol (const char *name) {
  void *address = dlsym(library, name);
  errno = 0;
  if (!address) die("no %s", name);
  return address;
}
#define CALL(result, name, ...) ((result (*)(__VA_ARGS__))symbol(name))

static void *start_interface (const char *path, uint64_t mtu) {
  static const unsigned long descriptor[] = { 0, sizeof(struct block) };
  static struct block block = { .flags = 1 << 28, .invoke = (void *)on_start, .descriptor = descriptor };
  library = dlopen(path, RTLD_NOW);
  errno = 0;
  if (!library) die("%s", dlerror());
  block.isa = symbol("_NSConcreteGlobalBlock");
  void *description = CALL(void *, "xpc_dictionary_create_empty", void)();
  CALL(void, "xpc_dictionary_set_uint64", void *, const char *, uint64_t)(description, "vmnet_operation_mode", HOST_MODE);
  CALL(void, "xpc_dictionary_set_uint64", void *, const char *, uint64_t)(description, "vmnet_mtu", mtu);
  void *queue = CALL(void *, "dispatch_queue_create", const char *, void *)("bench", NULL);
  void *interface = CALL(void *, "vmnet_start_interface", void *, void *, void *)(description, queue, &block);
  while (!started) nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
  if (started != SUCCESS) die("vmnet: %u", started);
  return interface;
}

static void forward (const char *library_path, const char *path, size_t mtu) {
  static uint8_t memory[BATCH][ROOM];
  static struct packet packets[BATCH];
  static struct iovec iovecs[BATCH];
  static struct mmsghdr messages[BATCH];
  void *interface = start_interface(library_path, mtu);
  /* As the switch reads them. */
  const size_t largest = mtu + HEADER;
  const int batch = BATCH_BYTES / largest < BATCH ? (int)(BATCH_BYTES / largest) : BATCH;
  uint32_t (*vmnet_read)(void *, struct packet *, int *) = symbol("vmnet_read");
  int fd = bound_datagram_socket(path);
  send_buffer(fd, 4 << 20);
  puts("ready");
  fflush(stdout);

  struct sockaddr_un peer;
  socklen_t length = sizeof peer;
  if (recvfrom(fd, memory[0], ROOM, 0, (struct sockaddr *)&peer, &length) < 0) die("recvfrom");
  if (connect(fd, (struct sockaddr *)&peer, length) < 0) die("connect");
  for (;;) {
    for (int i = 0; i < batch; i++) {
      iovecs[i] = (struct iovec){ memory[i], largest };
      packets[i] = (struct packet){ largest, &iovecs[i], 1, 0 };
    }
    int count = batch;
    if (vmnet_read(interface, packets, &count) != SUCCESS) die("vmnet_read");
    for (int i = 0; i < count; i++) {
      iovecs[i].iov_len = packets[i].size;
      messages[i].msg_hdr.msg_iov = &iovecs[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (int sent = 0; sent < count;) {
      int taken = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);
      if (taken < 0 && errno == EINTR) continue;
      if (taken < 0) pause();   /* The VM has gone; the CPU time is read before this program is ended. */
      sent += taken;
    }
  }
}

static void receive (const char *directory, const char *path, double seconds) {
  static uint8_t memory[BATCH][ROOM];
  static struct iovec iovecs[BATCH];
  static struct mmsghdr messages[BATCH];
  static uint8_t hello[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
  char own[sizeof ((struct sockaddr_un *)0)->sun_path];
  snprintf(own, sizeof own, "%s/%d-vm.sock", directory, (int)getpid());
  int fd = bound_datagram_socket(own);
  struct sockaddr_un to = unix_address(path);
  if (sendto(fd, hello, sizeof hello, 0, (struct sockaddr *)&to, sizeof to) < 0) die("hello");
  timeouts(fd, 2000);
  for (int i = 0; i < BATCH; i++) {
    iovecs[i] = (struct iovec){ memory[i], ROOM };
    messages[i].msg_hdr.msg_iov = &iovecs[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  uint64_t warm = now_ns() + NS_PER_SECOND / 2, end = warm + (uint64_t)(seconds * NS_PER_SECOND), frames = 0, bytes = 0, now;
  while ((now = now_ns()) < end) {
    int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    if (count < 0) die("nothing comes");
    if (now < warm) continue;
    frames += (uint64_t)count;
    for (int i = 0; i < count; i++) bytes += messages[i].msg_len;
  }
  remove(own);
  printf("{\"frames\": %llu, \"bytes\": %llu}\n", (unsigned long long)frames, (unsigned long long)bytes);
}

int main (int argc, char **argv) {
  die_with_parent();
  if (argc == 5 && !strcmp(argv[1], "forward")) forward(argv[2], argv[3], (size_t)number("MTU", argv[4]));
  else if (argc == 5 && !strcmp(argv[1], "receive")) receive(argv[2], argv[3], number("SECONDS", argv[4]));
  else {
    errno = 0;
    die("usage: vmnet forward LIBRARY PATH MTU | vmnet receive DIRECTORY PATH SECONDS");
  }
}
