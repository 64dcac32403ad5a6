/*
 * A scraper that costs next to nothing: GET one page over one kept-alive connection, so many times a second, until
 * SIGTERM; then one line of JSON with how many answers came, their size, and how long they took.
 *
 *   scrape PORT PATH RATE
 *
 * Connects to 127.0.0.1. Anything but a 200 with a Content-Length ends it with an error.
 */
#define _GNU_SOURCE
#include "common.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <unistd.h>
#include "histogram.h"

static struct histogram latency;
static char buffer[1 << 22];

static int connect_to (int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("127.0.0.1:%d", port);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  timeouts(fd, 5000);
  return fd;
}

/* Reads one answer whole and returns its length in bytes, headers included. */
static size_t read_answer (int fd) {
  size_t have = 0, want = 0;
  while (want == 0 || have < want) {
    ssize_t got = recv(fd, buffer + have, sizeof buffer - 1 - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) die("no answer");
    have += (size_t)got;
    buffer[have] = 0;
    char *body = want ? NULL : strstr(buffer, "\r\n\r\n");
    if (!body) continue;
    char *length = strcasestr(buffer, "content-length:");
    errno = 0;
    if (strncmp(buffer, "HTTP/1.1 200", 12) || !length || length > body) die("%.60s", buffer);
    want = (size_t)(body + 4 - buffer) + strtoul(length + 15, NULL, 10);
    if (want >= sizeof buffer) die("answer of %zu bytes", want);
  }
  return have;
}

int main (int argc, char **argv) {
  if (argc != 4) { errno = 0; die("usage: scrape PORT PATH RATE"); }
  int port = (int)number("PORT", argv[1]);
  double rate = number("RATE", argv[3]);
  char request[256];
  const char *format = "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/plain\r\n\r\n";
  int length = snprintf(request, sizeof request, format, argv[2], port);
  errno = 0;
  if (length >= (int)sizeof request) die("PATH is too long");
  serve_parent();

  int fd = connect_to(port);
  uint64_t start = now_ns(), interval = (uint64_t)(NS_PER_SECOND / rate), at = start, bytes = 0;
  puts("ready");
  while (!stopping) {
    uint64_t before = now_ns();
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
    bytes += read_answer(fd);
    uint64_t now = now_ns();
    histogram_add(&latency, now - before);
    at = at + interval > now ? at + interval : now;
    struct timespec next = { (time_t)(at / NS_PER_SECOND), (long)(at % NS_PER_SECOND) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
  double seconds = (double)(now_ns() - start) / NS_PER_SECOND;
  printf("{\"scrapes\":%lu,\"seconds\":%.3f,\"bytesEach\":%lu,\"latencyNs\":{\"p50\":%lu,\"p99\":%lu,\"max\":%lu}}\n",
    latency.count, seconds, latency.count ? bytes / latency.count : 0, histogram_at(&latency, 0.5),
    histogram_at(&latency, 0.99), latency.max);
  return 0;
}
