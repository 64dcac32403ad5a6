#ifndef INTERFACE_H
#define INTERFACE_H

#include <pthread.h>

#include "apple.h"
#include "description.h"
#include "object.h"
#include "ring.h"
#include "settings.h"

#define MAX_INTERFACES 32 /* Apple's documentation: in all */
#define VIRTIO_HEADER 12  /* bytes */

enum state { STATE_STARTING, STATE_RUNNING, STATE_STOPPING, STATE_GONE };

struct rule {
	struct rule *next;
	uint8_t protocol, family;
	uint16_t external_port, internal_port;
	uint8_t internal_address[16];
};

struct vmnet_interface {
	struct object object;
	int number;
	struct description description;
	vmnet_network_ref network; /* NULL: none */
	struct place place;
	_Atomic int state;
	uint8_t mac[6];
	uint32_t max_packet_size; /* the virtio header not included */
	size_t header;		  /* bytes before each frame: VIRTIO_HEADER or 0 */

	/* Towards vmnet_read; and in memory what vmnet_write was given. */
	struct ring inbound, collected;
	atomic_llong written, events, reads, writes;

	/* The thread that starts, feeds and stops it. */
	pthread_t thread;
	int tap, wake; /* descriptors, -1: none */
	dispatch_queue_t queue;
	vmnet_start_handler_t start_handler;

	pthread_mutex_t lock;
	/* Under `lock`. */
	dispatch_queue_t stop_queue, event_queue;
	vmnet_completion_t stop_handler;
	vmnet_event_callback_t event_callback;
	bool event_waits; /* a callback is on its way that will see frames arriving now */
	struct rule *rules;
};

/* Ends the process when `interface` is none, or has been stopped. */
void interface_check(interface_ref interface, const char *call);

interface_ref interface_start(const struct description *description, vmnet_network_ref network, dispatch_queue_t queue,
			      vmnet_start_handler_t handler);

/* By number; 0 is the last started. Retained; NULL when it is stopped. */
interface_ref interface_find(int number);
void interface_release(interface_ref interface);

/* Frames have been put in `inbound`. */
void interface_notify(interface_ref interface);

/* Calls a completion on a queue; drops `kept`, which may be NULL. */
void complete_on(dispatch_queue_t queue, vmnet_completion_t kept, vmnet_return_t status);

/* subnets.c: the addresses of the networks that interfaces have now */
vmnet_return_t subnet_claim(interface_ref interface);
void subnet_give_up(interface_ref interface);

/* tap.c */
int tap_open(const struct place *place);

/* rules.c */
void rules_free(interface_ref interface);

/* network.c */
void network_retain(vmnet_network_ref network);
void network_release(vmnet_network_ref network);
int network_describe(vmnet_network_ref network, char *buffer, size_t capacity);

#endif
