#include "settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "standin.h"

static const struct {
	const char *name;
	int initial;
} table[SETTINGS] = {
	[SETTING_START_DELAY] = {"start-delay", 5000},
	[SETTING_STOP_DELAY] = {"stop-delay", 5000},
	[SETTING_EVENT_DELAY] = {"event-delay", 0},
	[SETTING_LINGER] = {"linger", 0},
	[SETTING_MAX_PACKETS] = {"max-packets", 256},
	[SETTING_MAX_BYTES] = {"max-bytes", 262144},
	[SETTING_REPORT_LIMITS] = {"report-limits", 1},
	[SETTING_RING] = {"ring", 1024},
	[SETTING_SOURCE_SIZE] = {"source-size", 1514},
	[SETTING_SOURCE_TO] = {"source-to", 0},
	[SETTING_START_STATUS] = {"start-status", 0},
	[SETTING_START_NULL] = {"start-null", 0},
	[SETTING_STOP_STATUS] = {"stop-status", 0},
	[SETTING_STOP_RETURN] = {"stop-return", 0},
	[SETTING_EVENT_RETURN] = {"event-return", 0},
	[SETTING_READ_STATUS] = {"read-status", 0},
	[SETTING_WRITE_STATUS] = {"write-status", 0},
	[SETTING_WRITE_TAKE] = {"write-take", 0},
	[SETTING_RULE_STATUS] = {"rule-status", 0},
	[SETTING_NETWORK_STATUS] = {"network-status", 0},
};

struct value {
	int now;
	int times; /* -1: until changed */
};

static const char *const backends[] = {"memory", "loop", "echo", "sink", "source", "tap"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct value values[SETTINGS];
static struct place place;
static char bridgeable[256] = "en0 en1 bridge0";
static char report[512];

static void reset(void)
{
	for (int i = 0; i < SETTINGS; i++)
		values[i] = (struct value){table[i].initial, -1};
	place = (struct place){.backend = BACKEND_MEMORY};
	strcpy(bridgeable, "en0 en1 bridge0");
}

int setting(enum setting which)
{
	pthread_mutex_lock(&lock);
	struct value *value = &values[which];
	int now = value->now;
	if (value->times > 0 && --value->times == 0)
		value->now = table[which].initial;
	pthread_mutex_unlock(&lock);
	return now;
}

struct place setting_place(void)
{
	pthread_mutex_lock(&lock);
	struct place copy = place;
	pthread_mutex_unlock(&lock);
	return copy;
}

void setting_each_bridgeable(void (*function)(const char *name, void *context), void *context)
{
	char names[sizeof bridgeable], *rest = names;
	pthread_mutex_lock(&lock);
	memcpy(names, bridgeable, sizeof names);
	pthread_mutex_unlock(&lock);
	for (char *name = strsep(&rest, " "); name != NULL; name = strsep(&rest, " "))
		if (*name != '\0')
			function(name, context);
}

static int set_number(const char *name, const char *argument)
{
	for (int i = 0; i < SETTINGS; i++) {
		if (strcmp(name, table[i].name) != 0)
			continue;
		int times = -1;
		if (sscanf(argument, "%d %d", &values[i].now, &times) < 1)
			return -1;
		values[i].times = times;
		return 0;
	}
	return -1;
}

static int set_backend(const char *name)
{
	for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
		if (strcmp(name, backends[i]) == 0) {
			place.backend = (enum backend)i;
			return 0;
		}
	return -1;
}

static int set_text(char *target, size_t capacity, const char *text)
{
	return snprintf(target, capacity, "%s", text) < (int)capacity ? 0 : -1;
}

static int command(char *line)
{
	line += strspn(line, " ");
	char *name = strsep(&line, " ");
	const char *argument = line == NULL ? "" : line;
	if (*name == '\0')
		return 0;
	if (strcmp(name, "reset") == 0)
		return reset(), 0;
	if (strcmp(name, "backend") == 0)
		return set_backend(argument);
	if (strcmp(name, "tap") == 0)
		return set_text(place.tap, sizeof place.tap, argument);
	if (strcmp(name, "netns") == 0)
		return set_text(place.netns, sizeof place.netns, argument);
	if (strcmp(name, "bridgeable") == 0)
		return set_text(bridgeable, sizeof bridgeable, argument);
	if (strcmp(name, "report") == 0)
		return set_text(report, sizeof report, argument);
	return set_number(name, argument);
}

int standin_control(const char *commands)
{
	char *copy = strdup(commands), *rest = copy;
	int result = 0;
	pthread_mutex_lock(&lock);
	for (char *line = strsep(&rest, ";\n"); line != NULL; line = strsep(&rest, ";\n"))
		if (command(line) != 0) {
			fprintf(stderr, "vmnet-standin: not a command: %s\n", line);
			result = -1;
		}
	pthread_mutex_unlock(&lock);
	free(copy);
	return result;
}

static __attribute__((constructor)) void from_environment(void)
{
	reset();
	const char *commands = getenv("TAPSWITCH_VMNET_STANDIN");
	if (commands != NULL && standin_control(commands) != 0)
		misuse("TAPSWITCH_VMNET_STANDIN has a command that is not known");
}

atomic_llong interfaces_started, interfaces_stopped;

/* "report FILE": what is left when the process ends in good order, as one line of JSON. */
static __attribute__((destructor)) void write_report(void)
{
	static const char *const kinds[] = {"xpc",     "queue",		"semaphore", "interface",
					    "network", "configuration", "block",     "thread"};
	if (report[0] == '\0')
		return;
	FILE *out = fopen(report, "w");
	if (out == NULL)
		return;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		fprintf(out, "%s\"%s\": {\"live\": %lld, \"created\": %lld}", i == 0 ? "{" : ", ", kinds[i],
			(long long)standin_live(kinds[i]), (long long)standin_created(kinds[i]));
	fprintf(out, ", \"started\": %lld, \"stopped\": %lld}\n", (long long)atomic_load(&interfaces_started),
		(long long)atomic_load(&interfaces_stopped));
	fclose(out);
}
