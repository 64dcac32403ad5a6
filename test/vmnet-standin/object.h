/*
 * Reference counts, and the count of everything that exists.
 *
 * Every object a caller can hold begins with a `struct object`. Its last release ends it, but the memory stays in a
 * quarantine for a while, so that the use of an object after its end is found and named instead of being undefined.
 * What the caller does wrong beyond repair ends the process with a sentence, as it does on macOS without one.
 */
#ifndef OBJECT_H
#define OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
	KIND_XPC,
	KIND_QUEUE,
	KIND_SEMAPHORE,
	KIND_INTERFACE,
	KIND_NETWORK,
	KIND_CONFIGURATION,
	KIND_BLOCK,  /* copies that the stand-in holds of the caller's blocks; no struct object */
	KIND_THREAD, /* no struct object either */
	KINDS,
};

struct object {
	_Atomic uint32_t magic;
	uint32_t kind;
	atomic_int references;
};

#define OBJECT_ALIVE 0x6e6d7661u
#define OBJECT_ENDED 0x64656164u
#define OBJECT_CONSTANT 0x74736e63u /* never counted, never ended */

/* Zeroed memory with one reference. */
void *object_new(enum kind kind, size_t size);

/* Ends the process unless `object` is alive and of that kind; `call` is the function the caller used. */
void object_check(const void *object, enum kind kind, const char *call);

void object_retain(void *object, const char *call);

/* True when this was the last reference: the caller frees what the object owns and then calls object_bury. */
bool object_release(void *object, const char *call);
void object_bury(void *object);

void count_made(enum kind kind);
void count_gone(enum kind kind);
int64_t count_live(enum kind kind);

_Noreturn void misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
