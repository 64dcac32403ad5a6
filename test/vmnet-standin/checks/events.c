#include "checks.h"

#include <pthread.h>
#include <unistd.h>

static const uint8_t frame[60];

static vmnet_return_t listen_on(struct started *started, vmnet_event_callback_t callback)
{
	return vmnet_interface_set_event_callback(started->interface, VMNET_INTERFACE_PACKETS_AVAILABLE,
						  callback == NULL ? NULL : started->queue, callback);
}

static void coalesced(void)
{
	struct started started = start_shared();
	dispatch_semaphore_t go = dispatch_semaphore_create(0);
	dispatch_async(started.queue, ^{
	  dispatch_semaphore_wait(go, DISPATCH_TIME_FOREVER);
	});
	__block int calls = 0;
	__block uint64_t estimate = 0;
	pthread_t here = pthread_self();
	EQUAL(listen_on(&started, ^(interface_event_t mask, xpc_object_t event) {
		CHECK(!pthread_equal(pthread_self(), here));
		EQUAL(mask, VMNET_INTERFACE_PACKETS_AVAILABLE);
		calls++;
		estimate = xpc_dictionary_get_uint64(event, vmnet_estimated_packets_available_key);
	      }),
	      VMNET_SUCCESS);
	for (int i = 0; i < 5; i++)
		EQUAL(standin_inject(0, frame, sizeof frame, 2), 2);
	dispatch_semaphore_signal(go);
	dispatch_sync(started.queue, ^{
	});
	EQUAL(calls, 1);
	EQUAL(estimate, 10);
	dispatch_release((dispatch_object_t)go);
	stop(&started);
}

static void only_for_new_frames(void)
{
	struct started started = start_shared();
	EQUAL(standin_inject(0, frame, sizeof frame, 2), 2);
	__block int calls = 0;
	EQUAL(listen_on(&started, ^(interface_event_t mask, xpc_object_t event) {
		(void)mask, (void)event;
		calls++;
	      }),
	      VMNET_SUCCESS);
	dispatch_sync(started.queue, ^{
	});
	EQUAL(calls, 0);
	EQUAL(standin_inject(0, frame, sizeof frame, 1), 1);
	dispatch_sync(started.queue, ^{
	});
	EQUAL(calls, 1);
	stop(&started);
}

static void none_after_stop(void)
{
	struct started started = start_shared();
	__block int calls = 0;
	EQUAL(listen_on(&started, ^(interface_event_t mask, xpc_object_t event) {
		(void)mask, (void)event;
		usleep(10000);
		calls++;
	      }),
	      VMNET_SUCCESS);
	EQUAL(standin_inject(0, frame, sizeof frame, 1), 1);
	EQUAL(listen_on(&started, NULL), VMNET_SUCCESS);
	stop(&started);
	int at_stop = calls;
	EQUAL(at_stop, 1); /* it was on its way when the callback was taken back */
	usleep(20000);
	EQUAL(calls, at_stop);
}

static void wrong_arguments(void)
{
	struct started started = start_shared();
	vmnet_event_callback_t callback = ^(interface_event_t mask, xpc_object_t event) {
	  (void)mask, (void)event;
	};
	EQUAL(vmnet_interface_set_event_callback(started.interface, 0, started.queue, callback), VMNET_INVALID_ARGUMENT);
	EQUAL(vmnet_interface_set_event_callback(started.interface, 1, NULL, callback), VMNET_INVALID_ARGUMENT);
	EQUAL(vmnet_interface_set_event_callback(started.interface, 1, started.queue, NULL), VMNET_INVALID_ARGUMENT);
	standin_control("event-return 1001 1");
	EQUAL(listen_on(&started, callback), VMNET_FAILURE);
	/* Set, set again, and left to the stop. */
	EQUAL(listen_on(&started, callback), VMNET_SUCCESS);
	EQUAL(listen_on(&started, callback), VMNET_SUCCESS);
	stop(&started);
}

const struct check event_checks[] = {
	{"one event for many frames, on the queue", coalesced},
	{"events are for new frames", only_for_new_frames},
	{"no event after the stop handler", none_after_stop},
	{"wrong arguments of an event callback", wrong_arguments},
	{NULL, NULL},
};
