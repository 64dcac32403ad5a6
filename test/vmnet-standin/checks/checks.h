/* The stand-in, checked by a program that uses it as a Mac's would: with clang's own blocks. */
#ifndef CHECKS_H
#define CHECKS_H

#include "../apple.h"
#include "../standin.h"

#define CHECK(condition)                                                                                              \
	do {                                                                                                          \
		if (!(condition))                                                                                     \
			fail(__FILE__, __LINE__, #condition);                                                         \
	} while (0)

#define EQUAL(actual, expected)                                                                                       \
	do {                                                                                                          \
		long long actual_value = (long long)(actual), expected_value = (long long)(expected);                 \
		if (actual_value != expected_value)                                                                   \
			fail_equal(__FILE__, __LINE__, #actual, actual_value, expected_value);                        \
	} while (0)

void fail(const char *file, int line, const char *what);
void fail_equal(const char *file, int line, const char *what, long long actual, long long expected);

/* That `body` ends the process with a sentence that has `words` in it; tried in a process of its own. */
void dies(const char *words, dispatch_block_t body);

/* Asks until it is so, for ten seconds. */
void until(const char *what, bool (^condition)(void));

xpc_object_t description(vmnet_mode_t mode);

struct started {
	dispatch_queue_t queue;
	interface_ref interface;
	vmnet_return_t status;
	xpc_object_t parameters; /* NULL when it did not start */
};

/* Releases the description, waits for the handler. */
struct started start(xpc_object_t description);
struct started start_shared(void);

/* Waits for the handler, releases everything; `started` may have failed. */
void stop(struct started *started);

struct batch {
	struct vmpktdesc packets[300];
	struct iovec iovecs[300];
	uint8_t *bytes;
	size_t size;
};

/* Descriptors of `size` bytes each, set as they must be before each read. */
struct batch *batch_of(size_t size);
void batch_reset(struct batch *batch);
void batch_free(struct batch *batch);

struct check {
	const char *name;
	void (*run)(void);
};

/* Each ends with a check whose name is NULL. */
extern const struct check block_checks[], xpc_checks[], dispatch_checks[], interface_checks[], packet_checks[],
	event_checks[], rule_checks[], network_checks[];

#endif
