#include "object.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin.h"

#define QUARANTINE 2048 /* ended objects; arbitrary */

static const char *const kind_names[KINDS] = {"xpc",	 "queue",	  "semaphore", "interface",
					      "network", "configuration", "block",     "thread"};
static atomic_llong made[KINDS], gone[KINDS];

static pthread_mutex_t quarantine_lock = PTHREAD_MUTEX_INITIALIZER;
static void *quarantine[QUARANTINE];
static size_t quarantine_next;

void misuse(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("vmnet-standin: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	abort();
}

void *object_new(enum kind kind, size_t size)
{
	struct object *object = calloc(1, size);
	if (object == NULL)
		misuse("out of memory");
	object->kind = kind;
	atomic_store(&object->references, 1);
	atomic_store(&object->magic, OBJECT_ALIVE);
	count_made(kind);
	return object;
}

void object_check(const void *pointer, enum kind kind, const char *call)
{
	const struct object *object = pointer;
	if (object == NULL)
		misuse("%s: NULL is not an object of kind %s", call, kind_names[kind]);
	uint32_t magic = atomic_load(&object->magic);
	if (magic == OBJECT_ENDED && object->kind < KINDS)
		misuse("%s: this object of kind %s has ended", call, kind_names[object->kind]);
	if (magic != OBJECT_ALIVE && magic != OBJECT_CONSTANT)
		misuse("%s: %p is no object of this library; wanted one of kind %s", call, pointer, kind_names[kind]);
	if (object->kind != kind)
		misuse("%s: an object of kind %s where %s is wanted", call, kind_names[object->kind], kind_names[kind]);
}

void object_retain(void *pointer, const char *call)
{
	struct object *object = pointer;
	object_check(object, object == NULL ? KIND_XPC : object->kind, call);
	if (atomic_load(&object->magic) != OBJECT_CONSTANT)
		atomic_fetch_add(&object->references, 1);
}

bool object_release(void *pointer, const char *call)
{
	struct object *object = pointer;
	object_check(object, object == NULL ? KIND_XPC : object->kind, call);
	if (atomic_load(&object->magic) == OBJECT_CONSTANT)
		return false;
	return atomic_fetch_sub(&object->references, 1) == 1;
}

void object_bury(void *pointer)
{
	struct object *object = pointer;
	atomic_store(&object->magic, OBJECT_ENDED);
	count_gone(object->kind);
	pthread_mutex_lock(&quarantine_lock);
	void *oldest = quarantine[quarantine_next];
	quarantine[quarantine_next] = object;
	quarantine_next = (quarantine_next + 1) % QUARANTINE;
	pthread_mutex_unlock(&quarantine_lock);
	free(oldest);
}

/* At the end the quarantine is no leak, and a leak checker should say nothing. */
static __attribute__((destructor)) void free_quarantine(void)
{
	for (size_t i = 0; i < QUARANTINE; i++) {
		free(quarantine[i]);
		quarantine[i] = NULL;
	}
}

void count_made(enum kind kind)
{
	atomic_fetch_add(&made[kind], 1);
}

void count_gone(enum kind kind)
{
	atomic_fetch_add(&gone[kind], 1);
}

int64_t count_live(enum kind kind)
{
	int64_t ended = atomic_load(&gone[kind]);
	return atomic_load(&made[kind]) - ended;
}

static int64_t sum(const char *name, int64_t (*count)(enum kind))
{
	int64_t total = 0;
	for (int kind = 0; kind < KINDS; kind++) {
		if (strcmp(name, kind_names[kind]) == 0)
			return count(kind);
		total += count(kind);
	}
	return strcmp(name, "all") == 0 ? total : -1;
}

static int64_t count_created(enum kind kind)
{
	return atomic_load(&made[kind]);
}

int64_t standin_live(const char *kind)
{
	return sum(kind, count_live);
}

int64_t standin_created(const char *kind)
{
	return sum(kind, count_created);
}
