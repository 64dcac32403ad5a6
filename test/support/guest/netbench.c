/*
 * Moves bytes between two test VMs and prints one JSON line at each end, to be compared by the host.
 *
 *   netbench tcp-receive PORT                     takes one connection, reads to its end
 *   netbench tcp-send ADDRESS PORT BYTES          BYTES is rounded up to whole blocks of 64 KiB
 *   netbench udp-receive PORT IDLE_MS             counts datagrams until none came for IDLE_MS after the first
 *   netbench udp-send ADDRESS PORT COUNT BYTES    as fast as the kernel takes them
 *
 * The bytes are pseudo-random and every block carries its number, so a lost, doubled or swapped block changes the
 * checksum (Fletcher's, over 64-bit words: order counts, and an emulated CPU does it at memory speed).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536           /* bytes */
#define WORDS (BLOCK / 8)
#define CONNECT_ATTEMPTS 100  /* 100 ms apart: the receiver may not listen yet */
#define STALL_SECONDS 30      /* neither end waits longer than this for the other */

static uint64_t block[WORDS];
static uint64_t sum_a, sum_b;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fill(void)
{
	uint64_t x = 0x9e3779b97f4a7c15;
	for (int i = 0; i < WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		block[i] = x;
	}
}

static void add_to_sum(size_t bytes)
{
	memset((char *)block + bytes, 0, BLOCK - bytes);
	for (int i = 0; i < WORDS; i++) {
		sum_a += block[i];
		sum_b += sum_a;
	}
}

static void report(uint64_t bytes, double seconds)
{
	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"checksum\":\"%016" PRIx64 "%016" PRIx64 "\"}\n", bytes,
	       seconds, sum_a, sum_b);
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in result = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	if (inet_pton(AF_INET, host, &result.sin_addr) != 1)
		die(host);
	return result;
}

static int open_socket(int type)
{
	struct timeval limit = { .tv_sec = STALL_SECONDS };
	int fd = socket(AF_INET, type, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return fd;
}

static int open_bound(int type, const char *port)
{
	struct sockaddr_in any = address("0.0.0.0", port);
	int yes = 1, fd = open_socket(type);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		die("bind");
	return fd;
}

static void tcp_receive(const char *port)
{
	struct timeval limit = { .tv_sec = STALL_SECONDS };
	int listener = open_bound(SOCK_STREAM, port);
	if (listen(listener, 1) < 0)
		die("listen");
	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	uint64_t bytes = 0;
	double started = now();
	for (;;) {
		ssize_t n = recv(fd, block, BLOCK, MSG_WAITALL);
		if (n < 0)
			die("recv");
		if (n == 0)
			break;
		bytes += n;
		add_to_sum(n);
	}
	report(bytes, now() - started);
}

static int connect_patiently(const struct sockaddr_in *to)
{
	for (int i = 0; i < CONNECT_ATTEMPTS; i++) {
		int fd = open_socket(SOCK_STREAM);
		if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0)
			return fd;
		close(fd);
		usleep(100000);
	}
	die("connect");
	return -1;
}

static void send_block(int fd)
{
	for (size_t sent = 0; sent < BLOCK;) {
		ssize_t n = send(fd, (char *)block + sent, BLOCK - sent, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
		sent += n;
	}
}

static void tcp_send(const char *host, const char *port, uint64_t wanted)
{
	struct sockaddr_in to = address(host, port);
	char end;
	int fd = connect_patiently(&to);
	uint64_t blocks = (wanted + BLOCK - 1) / BLOCK;
	double started = now();
	for (uint64_t number = 0; number < blocks; number++) {
		block[0] = number;
		add_to_sum(BLOCK);
		send_block(fd);
	}
	/* The receiver closes when it has read everything: until then the bytes are only in our own queue. */
	shutdown(fd, SHUT_WR);
	if (recv(fd, &end, 1, 0) != 0)
		die("waiting for the receiver");
	report(blocks * BLOCK, now() - started);
}

static void udp_receive(const char *port, int idle_ms)
{
	int fd = open_bound(SOCK_DGRAM, port);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t count = 0, bytes = 0;
	double started = 0, last = 0;
	while (poll(&ready, 1, count ? idle_ms : STALL_SECONDS * 1000) > 0) {
		ssize_t n = recv(fd, block, BLOCK, 0);
		if (n < 0)
			die("recv");
		last = now();
		started = count++ ? started : last;
		bytes += n;
	}
	printf("{\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", count, bytes, last - started);
}

static void udp_send(const char *host, const char *port, uint64_t count, size_t size)
{
	struct sockaddr_in to = address(host, port);
	int fd = open_socket(SOCK_DGRAM);
	uint64_t sent = 0;
	double started = now();
	if (size > BLOCK)
		die("too many bytes a datagram");
	for (uint64_t i = 0; i < count; i++)
		if (sendto(fd, block, size, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)size)
			sent++;
	printf("{\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", sent, sent * size, now() - started);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	fill();
	if (!strcmp(mode, "tcp-receive") && argc == 3)
		tcp_receive(argv[2]);
	else if (!strcmp(mode, "tcp-send") && argc == 5)
		tcp_send(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	else if (!strcmp(mode, "udp-receive") && argc == 4)
		udp_receive(argv[2], atoi(argv[3]));
	else if (!strcmp(mode, "udp-send") && argc == 6)
		udp_send(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
	else {
		fprintf(stderr, "usage: netbench tcp-receive|tcp-send|udp-receive|udp-send ...\n");
		return 2;
	}
	return 0;
}
