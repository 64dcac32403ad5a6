/*
 * Two VMs, a sender and a receiver, and what the receiver saw: the measuring end of every forwarding benchmark.
 *
 *   load --kind qemu|vfkit|vde|stream|udp|vxlan --to PATH [--to PATH] --dir DIR --size BYTES PHASE...
 *        [--watch PID] [--settle S] [--warmup S] [--seconds S] [--cpu-send N] [--cpu-receive N]
 *
 *   --to         the switch's path, for udp and vxlan its port on 127.0.0.1; a second one when sender and receiver have a path each
 *   --dir        where the two make their own sockets
 *   --watch      the forwarder: its CPU time is read at both ends of every window, its resident size at the end
 *   PHASE        max        as fast as it goes
 *                half       half of what the max phase before it delivered
 *                rate=N     N frames a second
 *                idle       one frame every 200 us
 *                frames=N   N frames as fast as it goes; the window is the time they take
 *
 * The sender is a child process; the two share a page. For each phase the parent says what to send, receives for the
 * warm-up without counting, then counts for the window. Everything is counted where a user would notice: frames that
 * arrived, and gaps in their sequence numbers. The sender writes CLOCK_MONOTONIC into the frame just before the system
 * call that sends it, the receiver reads the clock just after the one that received it, so latency is send to receive
 * including both system calls and both wake-ups.
 *
 * A paced sender sleeps and sends what is due, one system call a frame. Spinning would be more even, but takes a
 * core, and with two cores the forwarder would be measured waiting for one. So above 10,000 frames a second they leave
 * in bursts, every 100 us; the same for every row.
 *
 * Prints one line of JSON. Exit 1 when nothing comes through.
 */
#define _GNU_SOURCE
#include "common.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "histogram.h"
#include "peer.h"

/* Bytes of frames that a stream sender writes at once, and that a receiver reads. */
enum { STREAM_WRITE = 128 << 10, STREAM_READ = 1 << 20, PREFIX = 4 };
enum { BATCH = 64, MAX_FRAME = 65550, MIN_FRAME = 34, MAX_PHASES = 8 };
enum { ETHERTYPE = 0x88b5 /* IEEE 802: local experimental */, SEQUENCE_AT = 14, STAMP_AT = 22 };

static const uint8_t sender_mac[6] = { 0x02, 0, 0, 0, 0, 0x0a };
static const uint8_t receiver_mac[6] = { 0x02, 0, 0, 0, 0, 0x0b };
static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

struct shared {
  _Atomic unsigned phase;       /* raised by the parent to start a phase, by the child (done) when it ended */
  _Atomic unsigned done;
  _Atomic bool stop, quit;
  _Atomic uint64_t sent;        /* frames of this phase, so far */
  double rate;                  /* frames a second; 0: as fast as it goes */
  uint64_t limit;               /* frames; 0: until told to stop */
};

struct seen {
  uint64_t frames, first, last;
  struct histogram latency;
};

static struct shared *shared;
static size_t frame_size;
static uint8_t *pool;
static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH][2]; /* a tunnel's header, and the frame */

static bool is_stream;
static unsigned batch = BATCH;  /* frames that one call sends */
static uint8_t *stream;         /* frames with their lengths, one behind the other; or what was read */
static size_t stream_filled;

static void sleep_until (uint64_t at) {
  struct timespec time = { (time_t)(at / NS_PER_SECOND), (long)(at % NS_PER_SECOND) };
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void wire_pool (struct peer *peer, size_t length) {
  pool = calloc(BATCH, MAX_FRAME + 50);
  if (!pool) die("out of memory");
  for (unsigned i = 0; i < BATCH; i++) {
    parts[i][0] = (struct iovec){ peer->header, peer->header_length };
    parts[i][1] = (struct iovec){ pool + (size_t)i * (MAX_FRAME + 50), length };
    messages[i].msg_hdr = (struct msghdr){ .msg_iov = parts[i], .msg_iovlen = 2 };
    if (!peer->header_length) messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i][1], .msg_iovlen = 1 };
  }
}

static void write_header (uint8_t *frame, const uint8_t *destination, const uint8_t *source) {
  memcpy(frame, destination, 6);
  memcpy(frame + 6, source, 6);
  frame[12] = ETHERTYPE >> 8;
  frame[13] = ETHERTYPE & 0xff;
}

static void stamp (uint8_t *frame, uint64_t sequence, uint64_t now) {
  memcpy(frame + SEQUENCE_AT, &sequence, sizeof sequence);
  memcpy(frame + STAMP_AT, &now, sizeof now);
}

/* ---- the sender ---- */

static uint64_t sequence;

static void wire_stream (void) {
  size_t stride = PREFIX + frame_size;
  batch = STREAM_WRITE / stride > 1 ? (unsigned)(STREAM_WRITE / stride) : 1;
  stream = calloc(batch, stride);
  if (!stream) die("out of memory");
  for (unsigned i = 0; i < batch; i++) {
    uint32_t length = htonl((uint32_t)frame_size);
    memcpy(stream + i * stride, &length, PREFIX);
    write_header(stream + i * stride + PREFIX, receiver_mac, sender_mac);
  }
}

/* The same as send_frames. Never stops inside a frame. */
static unsigned send_stream (struct peer *peer, unsigned count) {
  uint64_t now = now_ns();
  size_t stride = PREFIX + frame_size, length = count * stride, at = 0;
  for (unsigned i = 0; i < count; i++) stamp(stream + i * stride + PREFIX, sequence + i, now);
  while (at < length) {
    ssize_t sent = send(peer->fd, stream + at, length - at, MSG_NOSIGNAL);
    if (sent > 0) { at += (size_t)sent; continue; }
    if (errno != EAGAIN && errno != EINTR) die("send");
    if (at % stride == 0 && atomic_load_explicit(&shared->stop, memory_order_relaxed)) break;
  }
  sequence += at / stride;
  return (unsigned)(at / stride);
}

/* Sends `count` frames, at most a batch, and returns how many the kernel took before the peer's time-out. */
static unsigned send_frames (struct peer *peer, unsigned count) {
  if (is_stream) return send_stream(peer, count);
  uint64_t now = now_ns();
  for (unsigned i = 0; i < count; i++) stamp(parts[i][1].iov_base, sequence + i, now);
  int sent = sendmmsg(peer->fd, messages, count, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) die("send");
  if (sent > 0) sequence += (unsigned)sent;
  return sent > 0 ? (unsigned)sent : 0;
}

static void send_fast (struct peer *peer) {
  uint64_t sent = 0;
  while (!atomic_load_explicit(&shared->stop, memory_order_relaxed) && (shared->limit == 0 || sent < shared->limit)) {
    uint64_t left = shared->limit ? shared->limit - sent : batch;
    sent += send_frames(peer, left < batch ? (unsigned)left : batch);
    atomic_store_explicit(&shared->sent, sent, memory_order_relaxed);
  }
}

static void send_paced (struct peer *peer) {
  uint64_t interval = (uint64_t)(NS_PER_SECOND / shared->rate), start = now_ns(), sent = 0, skipped = 0;
  if (interval < 100000) interval = 100000;
  for (uint64_t at = start; !atomic_load_explicit(&shared->stop, memory_order_relaxed); at += interval) {
    sleep_until(at);
    uint64_t now = now_ns(), due = (uint64_t)((double)(now - start) * shared->rate / NS_PER_SECOND) + 1 - skipped;
    /* After a pause of the whole machine the backlog is forgotten: it would be a burst no row deserves. */
    if (now > at + 10000000) { skipped += due - sent; at = now; continue; }
    while (sent < due) {
      if (send_frames(peer, 1) == 0) { skipped++; due--; continue; }
      sent++;
    }
    atomic_store_explicit(&shared->sent, sent, memory_order_relaxed);
  }
}

static void run_sender (struct peer *peer) {
  unsigned phase = 0;
  wire_pool(peer, frame_size);
  if (is_stream) wire_stream();
  for (unsigned i = 0; i < BATCH; i++) {
    write_header(parts[i][1].iov_base, receiver_mac, sender_mac);
    peer_address(peer, &messages[i].msg_hdr);
  }
  prctl(PR_SET_TIMERSLACK, 1);
  while (!atomic_load(&shared->quit)) {
    if (atomic_load(&shared->phase) == phase) { usleep(1000); continue; }
    phase = atomic_load(&shared->phase);
    if (shared->rate > 0) send_paced(peer);
    else send_fast(peer);
    atomic_store(&shared->done, phase);
  }
}

/* ---- the receiver ---- */

static void announce (struct peer *peer) {
  uint8_t frame[60] = { 0 };
  write_header(frame, broadcast, receiver_mac);
  if (is_stream) {
    uint8_t bytes[PREFIX + sizeof frame] = { 0, 0, 0, sizeof frame };
    memcpy(bytes + PREFIX, frame, sizeof frame);
    if (send(peer->fd, bytes, sizeof bytes, MSG_NOSIGNAL) != (ssize_t)sizeof bytes) die("announce");
    return;
  }
  uint8_t header[sizeof peer->header];
  memcpy(header, peer->header, sizeof header);
  struct iovec both[2] = { { header, peer->header_length }, { frame, sizeof frame } };
  struct msghdr message = { .msg_iov = both, .msg_iovlen = 2 };
  peer_address(peer, &message);
  if (sendmsg(peer->fd, &message, MSG_NOSIGNAL) < 0 && errno != EAGAIN) die("announce");
}

/* Adds a frame to `seen` if it belongs to the test. */
static inline unsigned see (struct seen *seen, const uint8_t *frame, size_t length, uint64_t now) {
  uint64_t number, stamped;
  bool mine = !memcmp(frame, receiver_mac, 6) && !memcmp(frame + 6, sender_mac, 6);
  if (length != frame_size || !mine) return 0;
  memcpy(&number, frame + SEQUENCE_AT, sizeof number);
  memcpy(&stamped, frame + STAMP_AT, sizeof stamped);
  if (seen->frames++ == 0) seen->first = number;
  seen->last = number;
  histogram_add(&seen->latency, now > stamped ? now - stamped : 0);
  return 1;
}

static unsigned receive_stream (struct peer *peer, struct seen *seen, uint64_t *now) {
  ssize_t got = recv(peer->fd, stream + stream_filled, STREAM_READ, 0);
  unsigned ours = 0;
  *now = now_ns();
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) die("the switch closed the connection");
  if (got < 0) return 0;
  const uint8_t *at = stream, *end = stream + stream_filled + got;
  while (end - at >= PREFIX) {
    uint32_t length;
    memcpy(&length, at, PREFIX);
    length = ntohl(length);
    if (length == 0 || length > MAX_FRAME) die("%u is not a length", length);
    if (at + PREFIX + length > end) break;
    ours += see(seen, at + PREFIX, length, *now);
    at += PREFIX + length;
  }
  stream_filled = (size_t)(end - at);
  memmove(stream, at, stream_filled);
  return ours;
}

/* Takes one batch, or waits PEER_TIMEOUT_MS for one, and adds what belongs to the test to `seen`. */
static unsigned receive_batch (struct peer *peer, struct seen *seen, uint64_t *now) {
  if (is_stream) return receive_stream(peer, seen, now);
  int count = recvmmsg(peer->fd, messages, BATCH, MSG_WAITFORONE, NULL);
  unsigned ours = 0;
  *now = now_ns();
  for (int i = 0; i < count; i++) {
    ours += see(seen, parts[i][1].iov_base, messages[i].msg_len - peer->header_length, *now);
  }
  return ours;
}

static void start_phase (double rate, uint64_t limit) {
  shared->rate = rate;
  shared->limit = limit;
  atomic_store(&shared->sent, 0);
  atomic_store(&shared->stop, false);
  atomic_fetch_add(&shared->phase, 1);
}

/* Stops the sender and empties the path, so that the next phase starts with nothing under way. */
static void end_phase (struct peer *peer, struct seen *rest) {
  uint64_t now = now_ns(), give_up = now + 5 * NS_PER_SECOND;
  atomic_store(&shared->stop, true);
  for (unsigned got = 1; now < give_up; ) {
    got = receive_batch(peer, rest, &now);
    if (got == 0 && atomic_load(&shared->done) == atomic_load(&shared->phase)) return;
  }
}

static double cpu_seconds (int pid) {
  clockid_t clock;
  if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0) return 0;
  return (double)clock_ns(clock) / NS_PER_SECOND;
}

/* Resident size in KiB; 0 when there is nobody to watch. */
static long resident_kib (int pid) {
  char path[64];
  long pages = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = pid > 0 ? fopen(path, "r") : NULL;
  if (file && fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct seen window, outside;

static bool wait_for_first_frame (struct peer *peer) {
  uint64_t now = now_ns(), give_up = now + 10 * NS_PER_SECOND;
  start_phase(100, 0);
  while (now < give_up) {
    announce(peer);
    if (receive_batch(peer, &outside, &now)) break;
  }
  end_phase(peer, &outside);
  return now < give_up;
}

/* Receives for `seconds` and returns how long it really was. */
static double receive_for (struct peer *peer, struct seen *seen, double seconds) {
  uint64_t start = now_ns(), now = start, end = start + (uint64_t)(seconds * NS_PER_SECOND);
  while (now < end) receive_batch(peer, seen, &now);
  return (double)(now - start) / NS_PER_SECOND;
}

/* Receives until `limit` frames were sent and nothing more comes, or the time is up. */
static double receive_all (struct peer *peer, struct seen *seen, double at_most) {
  uint64_t start = now_ns(), now = start, last = start;
  while (now < start + (uint64_t)(at_most * NS_PER_SECOND)) {
    bool done = atomic_load(&shared->done) == atomic_load(&shared->phase);
    if (receive_batch(peer, seen, &now)) last = now;
    else if (done) break;
  }
  return (double)(last - start) / NS_PER_SECOND;
}

static void report (const char *phase, double seconds, double cpu, long rss, uint64_t sent) {
  uint64_t span = window.frames ? window.last - window.first + 1 : 0;
  const struct histogram *latency = &window.latency;
  printf("{\"phase\":\"%s\",\"seconds\":%.6f,\"sent\":%lu,\"received\":%lu,\"lost\":%lu,"
    "\"cpuSeconds\":%.6f,\"residentKiB\":%ld,"
    "\"latencyNs\":{\"p50\":%lu,\"p90\":%lu,\"p99\":%lu,\"p999\":%lu,\"max\":%lu}}",
    phase, seconds, sent, window.frames, span > window.frames ? span - window.frames : 0, cpu, rss,
    histogram_at(latency, 0.5), histogram_at(latency, 0.9), histogram_at(latency, 0.99),
    histogram_at(latency, 0.999), latency->max);
}

static int kind_named (const char *name) {
  if (!strcmp(name, "vde")) return VDE;
  if (!strcmp(name, "stream")) return STREAM;
  if (!strcmp(name, "udp")) return UDP;
  if (!strcmp(name, "vxlan")) return VXLAN;
  return !strcmp(name, "vfkit") ? VFKIT : QEMU;
}

int main (int argc, char **argv) {
  const char *to[2] = { 0 }, *directory = NULL, *phases[MAX_PHASES];
  unsigned to_count = 0, phase_count = 0;
  double settle = 0.5, warmup = 0.5, seconds = 2;
  int watch = 0, cpu_send = -1, cpu_receive = -1, kind = QEMU;

  for (int i = 1; i < argc; i++) {
    const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (option[0] != '-') {
      if (phase_count == MAX_PHASES) { errno = 0; die("at most %d phases", MAX_PHASES); }
      phases[phase_count++] = option;
      continue;
    }
    i++;
    if (!strcmp(option, "--kind") && value) kind = kind_named(value);
    else if (!strcmp(option, "--to") && value && to_count < 2) to[to_count++] = value;
    else if (!strcmp(option, "--dir")) directory = value;
    else if (!strcmp(option, "--size")) frame_size = (size_t)number(option, value);
    else if (!strcmp(option, "--watch")) watch = (int)number(option, value);
    else if (!strcmp(option, "--settle")) settle = number(option, value);
    else if (!strcmp(option, "--warmup")) warmup = number(option, value);
    else if (!strcmp(option, "--seconds")) seconds = number(option, value);
    else if (!strcmp(option, "--cpu-send")) cpu_send = (int)number(option, value);
    else if (!strcmp(option, "--cpu-receive")) cpu_receive = (int)number(option, value);
    else { errno = 0; die("%s: unknown option, or its value is missing", option); }
  }
  errno = 0;
  if (!to_count || !directory || !phase_count) die("--to, --dir and a phase are required");
  if (frame_size < MIN_FRAME || frame_size > MAX_FRAME) die("--size: %d to %d", MIN_FRAME, MAX_FRAME);
  if (to_count == 1) to[1] = to[0];
  is_stream = kind == STREAM;
  die_with_parent();

  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("mmap");
  pid_t parent = getpid(), child = fork();
  if (child < 0) die("fork");
  struct peer peer;
  if (child == 0) {
    die_with_parent();
    if (getppid() != parent) return 1;
    pin(cpu_send);
    peer_open(&peer, kind, to[0], directory, "sender");
    run_sender(&peer);
    peer_close(&peer);
    return 0;
  }

  pin(cpu_receive);
  peer_open(&peer, kind, to[1], directory, "receiver");
  wire_pool(&peer, MAX_FRAME);
  if (is_stream && !(stream = malloc(STREAM_READ + PREFIX + MAX_FRAME))) die("out of memory");
  bool through = wait_for_first_frame(&peer);
  if (through && settle > 0) {
    start_phase(0, 0);
    receive_for(&peer, &outside, settle);
    end_phase(&peer, &outside);
  }
  printf("{\"size\":%zu,\"phases\":[", frame_size);
  double delivered = 0;
  for (unsigned i = 0; through && i < phase_count; i++) {
    const char *name = phases[i];
    double rate = 0;
    uint64_t limit = 0;
    if (!strcmp(name, "half")) rate = delivered > 2 ? delivered / 2 : 1;
    else if (!strcmp(name, "idle")) rate = 5000;
    else if (!strncmp(name, "rate=", 5)) rate = number("rate", name + 5);
    else if (!strncmp(name, "frames=", 7)) limit = (uint64_t)number("frames", name + 7);
    else if (strcmp(name, "max")) { errno = 0; die("%s: no such phase", name); }

    memset(&window, 0, sizeof window);
    if (limit == 0) {
      start_phase(rate, 0);
      receive_for(&peer, &outside, warmup);
    }
    uint64_t sent_before = atomic_load(&shared->sent);
    double cpu = cpu_seconds(watch), length;
    if (limit == 0) length = receive_for(&peer, &window, seconds);
    else {
      start_phase(0, limit);
      sent_before = 0;
      length = receive_all(&peer, &window, 600);
    }
    cpu = cpu_seconds(watch) - cpu;
    uint64_t sent = atomic_load(&shared->sent) - sent_before;
    end_phase(&peer, &outside);
    if (!strcmp(name, "max")) delivered = (double)window.frames / length;
    if (i) putchar(',');
    report(name, length, cpu, resident_kib(watch), sent);
  }
  puts("]}");
  fflush(stdout);

  atomic_store(&shared->quit, true);
  peer_close(&peer);
  int status = 0;
  waitpid(child, &status, 0);
  if (!through) fputs("no frame arrived\n", stderr);
  return through && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
