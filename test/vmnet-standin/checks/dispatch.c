#include "checks.h"

#include <pthread.h>

static void serial(void)
{
	dispatch_queue_t queue = dispatch_queue_create("serial", NULL);
	__block int next = 0;
	__block bool ordered = true, foreign = true;
	pthread_t here = pthread_self();
	for (int i = 0; i < 1000; i++)
		dispatch_async(queue, ^{
		  ordered &= next++ == i;
		  foreign &= !pthread_equal(pthread_self(), here);
		});
	dispatch_sync(queue, ^{
	});
	CHECK(ordered && foreign);
	EQUAL(next, 1000);
	dispatch_release((dispatch_object_t)queue);
}

static void released_before_it_ran(void)
{
	dispatch_queue_t queue = dispatch_queue_create("early", NULL);
	dispatch_semaphore_t done = dispatch_semaphore_create(0);
	for (int i = 0; i < 100; i++)
		dispatch_async(queue, ^{
		  if (i == 99)
			  dispatch_semaphore_signal(done);
		});
	dispatch_release((dispatch_object_t)queue);
	EQUAL(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER), 0);
	dispatch_release((dispatch_object_t)done);
}

static void timeouts(void)
{
	dispatch_semaphore_t semaphore = dispatch_semaphore_create(0);
	CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) != 0);
	CHECK(dispatch_semaphore_wait(semaphore, dispatch_time(DISPATCH_TIME_NOW, 1000000)) != 0);
	dispatch_semaphore_signal(semaphore);
	EQUAL(dispatch_semaphore_wait(semaphore, dispatch_time(DISPATCH_TIME_NOW, 1000000)), 0);
	dispatch_release((dispatch_object_t)semaphore);
}

static void misused(void)
{
	dies("it would wait for itself", ^{
	  dispatch_queue_t queue = dispatch_queue_create("self", NULL);
	  dispatch_sync(queue, ^{
	    dispatch_sync(queue, ^{
	    });
	  });
	});
	dies("has ended", ^{
	  dispatch_queue_t queue = dispatch_queue_create("gone", NULL);
	  dispatch_release((dispatch_object_t)queue);
	  dispatch_release((dispatch_object_t)queue);
	});
}

const struct check dispatch_checks[] = {
	{"a queue runs one block after the other, on a thread of its own", serial},
	{"a queue lives until it has run what was posted", released_before_it_ran},
	{"a semaphore's wait ends in time", timeouts},
	{"misuse of queues ends the process", misused},
	{NULL, NULL},
};
