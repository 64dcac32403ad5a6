/*
 * The life of an interface.
 *
 * vmnet_start_interface checks the description and returns at once. Everything else happens on the interface's own
 * thread: it takes its time, opens what is behind the interface, has the start handler called on the caller's queue, moves
 * frames from the TAP into a bounded ring, and in the end stops and has the stop handler called. By then the interface
 * is gone: a call with its ref ends the process.
 *
 * "Packets available" is edge-triggered and coalesced. A frame that arrives while no callback is on its way sends one;
 * frames that arrive before it has begun are covered by it. Frames that waited before a callback was set announce
 * themselves no more. One that was on its way is still called after the callback was taken back, as a queue will do.
 */
#include "interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "block.h"
#include "dispatch.h"
#include "standin.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static interface_ref table[MAX_INTERFACES];
static int last_number;

static bool register_interface(interface_ref interface)
{
	pthread_mutex_lock(&table_lock);
	int slot = 0;
	while (slot < MAX_INTERFACES && table[slot] != NULL)
		slot++;
	if (slot < MAX_INTERFACES) {
		table[slot] = interface;
		interface->number = ++last_number;
	}
	pthread_mutex_unlock(&table_lock);
	return slot < MAX_INTERFACES;
}

static void unregister_interface(interface_ref interface)
{
	pthread_mutex_lock(&table_lock);
	for (int slot = 0; slot < MAX_INTERFACES; slot++)
		if (table[slot] == interface)
			table[slot] = NULL;
	pthread_mutex_unlock(&table_lock);
}

interface_ref interface_find(int number)
{
	interface_ref found = NULL;
	pthread_mutex_lock(&table_lock);
	for (int slot = 0; slot < MAX_INTERFACES; slot++)
		if (table[slot] != NULL && table[slot]->number == (number == 0 ? last_number : number))
			found = table[slot];
	if (found != NULL)
		object_retain(found, "interface_find");
	pthread_mutex_unlock(&table_lock);
	return found;
}

int standin_last_interface(void)
{
	pthread_mutex_lock(&table_lock);
	int number = last_number;
	pthread_mutex_unlock(&table_lock);
	return number;
}

void interface_check(interface_ref interface, const char *call)
{
	object_check(interface, KIND_INTERFACE, call);
	if (atomic_load(&interface->state) == STATE_GONE)
		misuse("%s: this interface has been stopped", call);
}

void interface_release(interface_ref interface)
{
	if (!object_release(interface, "releasing an interface"))
		return;
	ring_destroy(&interface->inbound);
	ring_destroy(&interface->collected);
	rules_free(interface);
	if (interface->network != NULL)
		network_release(interface->network);
	queue_release(interface->queue);
	pthread_mutex_destroy(&interface->lock);
	object_bury(interface);
}

/* Handlers */

struct completion {
	dispatch_queue_t queue;
	void *block;
	vmnet_return_t status;
	xpc_object_t parameters;
};

static void post_completion(dispatch_queue_t queue, void *block, vmnet_return_t status, xpc_object_t parameters,
			    dispatch_function_t function)
{
	struct completion *completion = malloc(sizeof *completion);
	if (completion == NULL)
		misuse("out of memory");
	*completion = (struct completion){queue, block, status, parameters};
	queue_post(queue, function, completion);
}

static void call_start_handler(void *context)
{
	struct completion *completion = context;
	block_check(completion->block, "the start handler");
	((vmnet_start_handler_t)completion->block)(completion->status, completion->parameters);
	usleep((useconds_t)setting(SETTING_LINGER));
	if (completion->parameters != NULL)
		xpc_release(completion->parameters);
	block_drop(completion->block);
	free(completion);
}

static void call_completion(void *context)
{
	struct completion *completion = context;
	block_check(completion->block, "a completion handler");
	((vmnet_completion_t)completion->block)(completion->status);
	usleep((useconds_t)setting(SETTING_LINGER));
	block_drop(completion->block);
	free(completion);
}

void complete_on(dispatch_queue_t queue, vmnet_completion_t kept, vmnet_return_t status)
{
	if (kept != NULL)
		post_completion(queue, kept, status, NULL, call_completion);
}

/* Events */

static void call_event_callback(void *context)
{
	struct completion *completion = context;
	interface_ref interface = (interface_ref)(void *)completion->parameters;
	usleep((useconds_t)setting(SETTING_EVENT_DELAY));
	pthread_mutex_lock(&interface->lock);
	interface->event_waits = false;
	pthread_mutex_unlock(&interface->lock);
	xpc_object_t event = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(event, vmnet_estimated_packets_available_key, ring_used(&interface->inbound));
	atomic_fetch_add(&interface->events, 1);
	block_check(completion->block, "the event callback");
	((vmnet_event_callback_t)completion->block)(VMNET_INTERFACE_PACKETS_AVAILABLE, event);
	xpc_release(event);
	block_drop(completion->block);
	free(completion);
	interface_release(interface);
}

void interface_notify(interface_ref interface)
{
	pthread_mutex_lock(&interface->lock);
	if (interface->event_callback != NULL && !interface->event_waits) {
		interface->event_waits = true;
		object_retain(interface, "an event");
		post_completion(interface->event_queue, block_keep_again(interface->event_callback), VMNET_SUCCESS,
				(xpc_object_t)(void *)interface, call_event_callback);
	}
	pthread_mutex_unlock(&interface->lock);
}

static void forget_event_callback(interface_ref interface)
{
	block_drop(interface->event_callback);
	interface->event_callback = NULL;
	if (interface->event_queue != NULL)
		queue_release(interface->event_queue);
	interface->event_queue = NULL;
	interface->event_waits = false;
}

vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
						  dispatch_queue_t queue, vmnet_event_callback_t callback)
{
	static const char call[] = "vmnet_interface_set_event_callback";
	interface_check(interface, call);
	vmnet_return_t fault = (vmnet_return_t)setting(SETTING_EVENT_RETURN);
	if (fault != 0)
		return fault;
	if (mask != VMNET_INTERFACE_PACKETS_AVAILABLE || (queue == NULL) != (callback == NULL))
		return VMNET_INVALID_ARGUMENT;
	if (atomic_load(&interface->state) == STATE_STARTING)
		return VMNET_SETUP_INCOMPLETE;
	if (queue != NULL)
		queue_check(queue, call);
	void *kept = callback == NULL ? NULL : block_keep(callback, call);
	pthread_mutex_lock(&interface->lock);
	forget_event_callback(interface);
	interface->event_callback = kept;
	interface->event_queue = queue == NULL ? NULL : queue_retain(queue);
	pthread_mutex_unlock(&interface->lock);
	if (interface->place.backend == BACKEND_SOURCE)
		interface_notify(interface);
	return VMNET_SUCCESS;
}

/* Starting */

static void make_mac(interface_ref interface)
{
	const struct description *description = &interface->description;
	if (description->has_id)
		for (int i = 0; i < 16; i++)
			interface->mac[i % 6] ^= (uint8_t)(description->id[i] + i);
	else if (getrandom(interface->mac, sizeof interface->mac, 0) != sizeof interface->mac)
		misuse("no random numbers");
	interface->mac[0] = (uint8_t)((interface->mac[0] & 0xfc) | 0x02);
}

static void set_address(xpc_object_t dictionary, const char *key, uint32_t address)
{
	struct in_addr network_order = {htonl(address)};
	char text[INET_ADDRSTRLEN];
	xpc_dictionary_set_string(dictionary, key, inet_ntop(AF_INET, &network_order, text, sizeof text));
}

static xpc_object_t parameters_of(interface_ref interface)
{
	const struct description *description = &interface->description;
	xpc_object_t parameters = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(parameters, vmnet_mtu_key, description->mtu);
	xpc_dictionary_set_uint64(parameters, vmnet_max_packet_size_key, interface->max_packet_size);
	xpc_dictionary_set_uuid(parameters, vmnet_interface_id_key, description->id);
	if (description->allocate_mac) {
		const uint8_t *mac = interface->mac;
		char text[18];
		snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		xpc_dictionary_set_string(parameters, vmnet_mac_address_key, text);
	}
	if (description->mask != 0) {
		set_address(parameters, vmnet_start_address_key, description->start);
		set_address(parameters, vmnet_end_address_key, description->end);
		set_address(parameters, vmnet_subnet_mask_key, description->mask);
	}
	if (description->nat66_prefix[0] != '\0')
		xpc_dictionary_set_string(parameters, vmnet_nat66_prefix_key, description->nat66_prefix);
	if (setting(SETTING_REPORT_LIMITS)) {
		xpc_dictionary_set_uint64(parameters, vmnet_read_max_packets_key, (uint64_t)setting(SETTING_MAX_PACKETS));
		xpc_dictionary_set_uint64(parameters, vmnet_write_max_packets_key, (uint64_t)setting(SETTING_MAX_PACKETS));
	}
	return parameters;
}

static vmnet_return_t open_interface(interface_ref interface)
{
	vmnet_return_t status = (vmnet_return_t)setting(SETTING_START_STATUS);
	if (status == 0)
		status = subnet_claim(interface);
	if (status != VMNET_SUCCESS)
		return status;
	if (interface->place.backend == BACKEND_TAP && (interface->tap = tap_open(&interface->place)) < 0) {
		subnet_give_up(interface);
		return VMNET_FAILURE;
	}
	struct description *description = &interface->description;
	make_mac(interface);
	if (!description->has_id && getrandom(description->id, sizeof description->id, 0) != sizeof description->id)
		misuse("no random numbers");
	if (description->mode == VMNET_SHARED_MODE && description->nat66_prefix[0] == '\0')
		strcpy(description->nat66_prefix, "fd12:3456:789a:bcde::");
	size_t slots = (size_t)setting(SETTING_RING);
	ring_open(&interface->inbound, slots, interface->header + interface->max_packet_size);
	ring_open(&interface->collected, slots, interface->header + interface->max_packet_size);
	return VMNET_SUCCESS;
}

/* Stopping */

static bool stop_asked(interface_ref interface)
{
	return atomic_load(&interface->state) == STATE_STOPPING;
}

/* All that waits in the TAP, one callback for it. */
static void read_tap(interface_ref interface)
{
	uint8_t frame[65550];
	bool any = false;
	for (;;) {
		ssize_t length = read(interface->tap, frame, sizeof frame);
		if (length < 0)
			break;
		if ((size_t)length <= interface->max_packet_size)
			any |= ring_push(&interface->inbound, interface->header, frame, (size_t)length);
	}
	if (any)
		interface_notify(interface);
}

static void wait_for_stop(interface_ref interface)
{
	struct pollfd ready[2] = {{.fd = interface->wake, .events = POLLIN}, {.fd = interface->tap, .events = POLLIN}};
	while (!stop_asked(interface)) {
		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			misuse("poll: %s", strerror(errno));
		if (ready[1].revents & POLLIN)
			read_tap(interface);
	}
}

static void close_interface(interface_ref interface)
{
	ring_close(&interface->inbound);
	ring_close(&interface->collected);
	if (interface->tap >= 0)
		close(interface->tap);
	subnet_give_up(interface);
	pthread_mutex_lock(&interface->lock);
	forget_event_callback(interface);
	pthread_mutex_unlock(&interface->lock);
}

static void *interface_main(void *argument)
{
	interface_ref interface = argument;
	usleep((useconds_t)setting(SETTING_START_DELAY));
	vmnet_return_t status = open_interface(interface);
	bool running = status == VMNET_SUCCESS;
	void *handler = interface->start_handler;
	interface->start_handler = NULL;
	if (running) {
		atomic_store(&interface->state, STATE_RUNNING);
		atomic_fetch_add(&interfaces_started, 1);
		post_completion(interface->queue, handler, status, parameters_of(interface), call_start_handler);
		wait_for_stop(interface);
		usleep((useconds_t)setting(SETTING_STOP_DELAY));
		close_interface(interface);
	}
	unregister_interface(interface);
	pthread_mutex_lock(&interface->lock);
	atomic_store(&interface->state, STATE_GONE);
	close(interface->wake);
	pthread_mutex_unlock(&interface->lock);

	dispatch_queue_t queue = queue_retain(running ? interface->stop_queue : interface->queue);
	if (running) {
		queue_release(interface->stop_queue);
		handler = interface->stop_handler;
		int fault = setting(SETTING_STOP_STATUS);
		status = fault == 0 ? VMNET_SUCCESS : (vmnet_return_t)fault;
	}
	interface_release(interface);
	count_gone(KIND_THREAD);
	post_completion(queue, handler, status, NULL, running ? call_completion : call_start_handler);
	queue_release(queue);
	return NULL;
}

interface_ref interface_start(const struct description *description, vmnet_network_ref network, dispatch_queue_t queue,
			      vmnet_start_handler_t handler)
{
	interface_ref interface = object_new(KIND_INTERFACE, sizeof *interface);
	interface->description = *description;
	interface->place = setting_place();
	interface->max_packet_size = description->tso ? 65550 : description->mtu + 14;
	interface->header = description->virtio_header ? VIRTIO_HEADER : 0;
	interface->queue = queue_retain(queue);
	interface->tap = -1;
	interface->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	interface->network = network;
	if (network != NULL)
		network_retain(network);
	pthread_mutex_init(&interface->lock, NULL);
	ring_init(&interface->inbound);
	ring_init(&interface->collected);
	if (!register_interface(interface)) {
		close(interface->wake);
		interface_release(interface);
		return NULL;
	}
	interface->start_handler = block_keep(handler, "vmnet_start_interface");
	count_made(KIND_THREAD);
	if (pthread_create(&interface->thread, NULL, interface_main, interface) != 0)
		misuse("no thread");
	pthread_detach(interface->thread);
	return interface;
}

interface_ref vmnet_start_interface(xpc_object_t xpc, dispatch_queue_t queue, vmnet_start_handler_t handler)
{
	static const char call[] = "vmnet_start_interface";
	object_check(xpc, KIND_XPC, call);
	queue_check(queue, call);
	block_check(handler, call);
	struct description description;
	vmnet_return_t status = description_parse(xpc, &description);
	int null = setting(SETTING_START_NULL);
	if (null != 0)
		status = VMNET_FAILURE;
	interface_ref interface = status == VMNET_SUCCESS ? interface_start(&description, NULL, queue, handler) : NULL;
	if (interface == NULL && null != 2)
		post_completion(queue, block_keep(handler, call), status == VMNET_SUCCESS ? VMNET_FAILURE : status, NULL,
				call_start_handler);
	return interface;
}

vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue, vmnet_completion_t handler)
{
	static const char call[] = "vmnet_stop_interface";
	interface_check(interface, call);
	queue_check(queue, call);
	block_check(handler, call);
	vmnet_return_t fault = (vmnet_return_t)setting(SETTING_STOP_RETURN);
	if (fault != 0)
		return fault;
	vmnet_return_t status = VMNET_SUCCESS;
	uint64_t one = 1;
	object_retain(interface, call);
	pthread_mutex_lock(&interface->lock);
	int state = atomic_load(&interface->state);
	if (state == STATE_STARTING)
		status = VMNET_SETUP_INCOMPLETE;
	else if (state != STATE_RUNNING)
		status = VMNET_INVALID_ARGUMENT;
	else {
		interface->stop_queue = queue_retain(queue);
		interface->stop_handler = block_keep(handler, call);
		atomic_store(&interface->state, STATE_STOPPING);
		atomic_fetch_add(&interfaces_stopped, 1);
		if (write(interface->wake, &one, sizeof one) != sizeof one)
			misuse("eventfd: %s", strerror(errno));
	}
	pthread_mutex_unlock(&interface->lock);
	interface_release(interface);
	return status;
}

static void append_name(const char *name, void *array)
{
	xpc_object_t string = xpc_string_create(name);
	xpc_array_append_value(array, string);
	xpc_release(string);
}

xpc_object_t vmnet_copy_shared_interface_list(void)
{
	xpc_object_t list = xpc_array_create_empty();
	setting_each_bridgeable(append_name, list);
	return list;
}
