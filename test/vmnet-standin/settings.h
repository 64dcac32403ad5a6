/*
 * How the stand-in behaves, for the whole process: from the environment variable TAPSWITCH_VMNET_STANDIN when it is
 * loaded, then from standin_control. README.md has the list.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "apple.h"

enum setting {
	SETTING_START_DELAY,  /* microseconds before the start handler is called */
	SETTING_STOP_DELAY,   /* microseconds before the stop handler is called */
	SETTING_EVENT_DELAY,  /* microseconds that an event callback waits while frames go on arriving */
	SETTING_LINGER,	      /* microseconds that a queue's thread goes on after a handler has returned */
	SETTING_MAX_PACKETS,  /* a call takes and gives at most so many */
	SETTING_MAX_BYTES,    /* and so many bytes */
	SETTING_REPORT_LIMITS, /* 1: the start handler's dictionary has the batch limits (macOS 15), 0: it has not */
	SETTING_RING,	      /* frames that wait for vmnet_read, or in memory to be taken; more are dropped */
	SETTING_SOURCE_SIZE,  /* bytes of the frames of backend "source" */
	SETTING_SOURCE_TO,    /* last octet of the address they go to, 02:00:00:00:00:N; 0: broadcast */

	/* From here: faults. 0: none. */
	SETTING_START_STATUS, /* what the start handler is told */
	SETTING_START_NULL,   /* 1: vmnet_start_interface gives NULL and calls the handler, 2: NULL and no call */
	SETTING_STOP_STATUS,
	SETTING_STOP_RETURN, /* what vmnet_stop_interface returns; nothing is stopped */
	SETTING_EVENT_RETURN, /* the same of vmnet_interface_set_event_callback */
	SETTING_READ_STATUS,
	SETTING_WRITE_STATUS,
	SETTING_WRITE_TAKE, /* vmnet_write takes no more than N - 1 packets */
	SETTING_RULE_STATUS, /* what the completion of a port-forwarding call is told */
	SETTING_NETWORK_STATUS, /* vmnet_network_create fails with it */
	SETTINGS,
};

enum backend { BACKEND_MEMORY, BACKEND_LOOP, BACKEND_ECHO, BACKEND_SINK, BACKEND_SOURCE, BACKEND_TAP };

struct place {
	enum backend backend;
	char tap[16];	  /* name of the device */
	char netns[256]; /* name below /run/netns, or a path; empty: this process's own */
};

/* The value now. Of a fault set for a number of times, this takes one. */
int setting(enum setting which);

struct place setting_place(void);

/* Interfaces whose start handler was told SUCCESS, and those vmnet_stop_interface was called for. */
extern _Atomic long long interfaces_started, interfaces_stopped;

/* Calls with the name of each interface that may be bridged. */
void setting_each_bridgeable(void (*function)(const char *name, void *context), void *context);

#endif
