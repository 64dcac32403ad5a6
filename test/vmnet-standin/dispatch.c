/*
 * Serial queues, each with a thread of its own, and semaphores.
 *
 * A posted task holds a reference to its queue, so a queue ends only when nothing waits on it. The last release may
 * come from the queue's own thread, at the end of its last task: then the thread lets go of itself. From any other
 * thread it waits for the queue's thread, which has nothing left to do.
 */
#include "dispatch.h"

#include <Block.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "block.h"
#include "object.h"

struct task {
	struct task *next;
	dispatch_function_t function;
	void *context;
};

struct dispatch_queue {
	struct object object;
	char *label;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct task *first, **last;
	bool ending;
};

struct dispatch_semaphore {
	struct object object;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	intptr_t value;
};

static void queue_end(dispatch_queue_t queue)
{
	pthread_mutex_destroy(&queue->lock);
	pthread_cond_destroy(&queue->changed);
	free(queue->label);
	count_gone(KIND_THREAD);
	object_bury(queue);
}

static void *queue_main(void *argument)
{
	dispatch_queue_t queue = argument;
	for (;;) {
		pthread_mutex_lock(&queue->lock);
		while (queue->first == NULL && !queue->ending)
			pthread_cond_wait(&queue->changed, &queue->lock);
		struct task *task = queue->first;
		if (task == NULL) {
			pthread_mutex_unlock(&queue->lock);
			return NULL;
		}
		queue->first = task->next;
		if (queue->first == NULL)
			queue->last = &queue->first;
		pthread_mutex_unlock(&queue->lock);

		task->function(task->context);
		free(task);
		if (object_release(queue, "dispatch_release")) {
			pthread_detach(pthread_self());
			queue_end(queue);
			return NULL;
		}
	}
}

dispatch_queue_t dispatch_queue_create(const char *label, void *attributes)
{
	if (attributes != NULL)
		misuse("dispatch_queue_create: only serial queues, whose attributes are NULL");
	dispatch_queue_t queue = object_new(KIND_QUEUE, sizeof *queue);
	queue->label = strdup(label == NULL ? "" : label);
	queue->last = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	count_made(KIND_THREAD);
	if (pthread_create(&queue->thread, NULL, queue_main, queue) != 0)
		misuse("dispatch_queue_create: no thread");
	return queue;
}

const char *dispatch_queue_get_label(dispatch_queue_t queue)
{
	object_check(queue, KIND_QUEUE, "dispatch_queue_get_label");
	return queue->label;
}

void queue_check(dispatch_queue_t queue, const char *call)
{
	object_check(queue, KIND_QUEUE, call);
}

dispatch_queue_t queue_retain(dispatch_queue_t queue)
{
	object_retain(queue, "dispatch_retain");
	return queue;
}

void queue_release(dispatch_queue_t queue)
{
	if (!object_release(queue, "dispatch_release"))
		return;
	pthread_mutex_lock(&queue->lock);
	queue->ending = true;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	queue_end(queue);
}

void queue_post(dispatch_queue_t queue, dispatch_function_t function, void *context)
{
	object_retain(queue, "posting to a queue");
	struct task *task = calloc(1, sizeof *task);
	if (task == NULL)
		misuse("out of memory");
	task->function = function;
	task->context = context;
	pthread_mutex_lock(&queue->lock);
	*queue->last = task;
	queue->last = &task->next;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

static void semaphore_release(dispatch_semaphore_t semaphore)
{
	if (!object_release(semaphore, "dispatch_release"))
		return;
	pthread_mutex_destroy(&semaphore->lock);
	pthread_cond_destroy(&semaphore->changed);
	object_bury(semaphore);
}

void dispatch_retain(dispatch_object_t object)
{
	object_retain(object, "dispatch_retain");
}

void dispatch_release(dispatch_object_t pointer)
{
	struct object *object = (struct object *)pointer;
	if (object != NULL && object->kind == KIND_SEMAPHORE)
		semaphore_release((dispatch_semaphore_t)pointer);
	else {
		object_check(object, KIND_QUEUE, "dispatch_release");
		queue_release((dispatch_queue_t)pointer);
	}
}

static void run_block(void *block)
{
	block_check(block, "a block on a queue");
	((dispatch_block_t)block)();
	block_drop(block);
}

void dispatch_async(dispatch_queue_t queue, dispatch_block_t block)
{
	queue_check(queue, "dispatch_async");
	queue_post(queue, run_block, block_keep(block, "dispatch_async"));
}

void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t function)
{
	queue_check(queue, "dispatch_async_f");
	queue_post(queue, function, context);
}

struct waited {
	dispatch_function_t function;
	void *context;
	dispatch_semaphore_t done;
};

static void run_waited(void *context)
{
	struct waited *waited = context;
	waited->function(waited->context);
	dispatch_semaphore_signal(waited->done);
}

void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t function)
{
	queue_check(queue, "dispatch_sync_f");
	if (pthread_equal(queue->thread, pthread_self()))
		misuse("dispatch_sync on the queue that is running: it would wait for itself");
	struct waited waited = {function, context, dispatch_semaphore_create(0)};
	queue_post(queue, run_waited, &waited);
	dispatch_semaphore_wait(waited.done, DISPATCH_TIME_FOREVER);
	dispatch_release((dispatch_object_t)waited.done);
}

void dispatch_sync(dispatch_queue_t queue, dispatch_block_t block)
{
	dispatch_sync_f(queue, block_keep(block, "dispatch_sync"), run_block);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Doubled, so that a caller who takes it for nanoseconds is as wrong here as on a Mac whose clock ticks otherwise. */
dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta_ns)
{
	if (when == DISPATCH_TIME_FOREVER)
		return when;
	uint64_t start = when == DISPATCH_TIME_NOW ? now_ns() : when / 2;
	return (start + (uint64_t)delta_ns) * 2;
}

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value)
{
	dispatch_semaphore_t semaphore = object_new(KIND_SEMAPHORE, sizeof *semaphore);
	pthread_mutex_init(&semaphore->lock, NULL);
	pthread_cond_init(&semaphore->changed, NULL);
	semaphore->value = value;
	return semaphore;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore)
{
	object_check(semaphore, KIND_SEMAPHORE, "dispatch_semaphore_signal");
	/* The waiter may release it at once. */
	object_retain(semaphore, "dispatch_semaphore_signal");
	pthread_mutex_lock(&semaphore->lock);
	semaphore->value++;
	pthread_cond_signal(&semaphore->changed);
	pthread_mutex_unlock(&semaphore->lock);
	semaphore_release(semaphore);
	return 0;
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout)
{
	object_check(semaphore, KIND_SEMAPHORE, "dispatch_semaphore_wait");
	uint64_t deadline = timeout == DISPATCH_TIME_NOW ? 0 : timeout / 2;
	struct timespec until = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
	int error = 0;
	pthread_mutex_lock(&semaphore->lock);
	while (semaphore->value <= 0 && error != ETIMEDOUT)
		error = timeout == DISPATCH_TIME_FOREVER
				? pthread_cond_wait(&semaphore->changed, &semaphore->lock)
				: pthread_cond_timedwait(&semaphore->changed, &semaphore->lock, &until);
	bool taken = semaphore->value > 0;
	if (taken)
		semaphore->value--;
	pthread_mutex_unlock(&semaphore->lock);
	return taken ? 0 : 1;
}
