/* What a test calls on the stand-in itself. README.md lists the commands of standin_control. */
#ifndef STANDIN_H
#define STANDIN_H

#include "apple.h"

/* One or more commands, separated by ';' or newlines. 0, or -1 when one is not known (said on stderr). */
EXPORT int standin_control(const char *commands);

/*
 * Objects of a kind that exist now, and that were ever made: "xpc", "queue", "semaphore", "block", "interface",
 * "network", "configuration", "thread", or "all". -1 for another kind.
 */
EXPORT int64_t standin_live(const char *kind);
EXPORT int64_t standin_created(const char *kind);

/* An interface is named by its number: 1 is the first that was started in this process. 0 is the last that was. */
EXPORT int standin_last_interface(void);

/* Puts `times` copies of a frame where vmnet_read finds them. Returns how many fitted; -1 when there is no interface. */
EXPORT int standin_inject(int interface, const void *frame, size_t length, int times);

/* Takes the oldest frame that was written. Returns its length, 0 when there is none, -1 when there is no interface. */
EXPORT int64_t standin_take(int interface, void *buffer, size_t capacity);

/*
 * "waiting" (to be read), "written" (in all), "collected" (to be taken), "dropped" (no room on the way to vmnet_read),
 * "events" (callbacks made), "reads", "writes" (calls). -1 when there is no such interface or counter.
 */
EXPORT int64_t standin_count(int interface, const char *what);

/* What the interface was started with, as JSON with a final zero byte. Its length; -1: no interface or no room. */
EXPORT int64_t standin_describe(int interface, char *buffer, size_t capacity);

#endif
