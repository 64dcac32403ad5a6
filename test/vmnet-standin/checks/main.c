#include "checks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *running = "";

void fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s: not so: %s\n", file, line, running, what);
	_exit(1);
}

void fail_equal(const char *file, int line, const char *what, long long actual, long long expected)
{
	fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", file, line, running, what, actual, expected);
	_exit(1);
}

void dies(const char *words, dispatch_block_t body)
{
	int ends[2];
	char text[4096];
	size_t length = 0;
	CHECK(pipe(ends) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		signal(SIGABRT, SIG_DFL);
		body();
		_exit(0);
	}
	close(ends[1]);
	for (ssize_t n; length < sizeof text - 1 && (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
		length += (size_t)n;
	text[length] = '\0';
	close(ends[0]);
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
	/* Sanitizers turn the signal into an exit code. */
	bool exited = WIFEXITED(status) && WEXITSTATUS(status) != 0;
	if ((!aborted && !exited) || strstr(text, words) == NULL) {
		fprintf(stderr, "%s: status 0x%x, wanted an end with \"%s\", said: %s\n", running, status, words, text);
		_exit(1);
	}
}

void until(const char *what, bool (^condition)(void))
{
	for (int i = 0; i < 10000; i++) {
		if (condition())
			return;
		usleep(1000);
	}
	fail("until", 0, what);
}

xpc_object_t description(vmnet_mode_t mode)
{
	xpc_object_t dictionary = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(dictionary, vmnet_operation_mode_key, mode);
	return dictionary;
}

struct started start(xpc_object_t dictionary)
{
	__block struct started started = {.queue = dispatch_queue_create("checks", NULL)};
	dispatch_semaphore_t done = dispatch_semaphore_create(0);
	interface_ref interface = vmnet_start_interface(dictionary, started.queue, ^(vmnet_return_t status, xpc_object_t parameters) {
	  started.status = status;
	  started.parameters = parameters == NULL ? NULL : xpc_retain(parameters);
	  dispatch_semaphore_signal(done);
	});
	EQUAL(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER), 0);
	started.interface = interface;
	dispatch_release((dispatch_object_t)done);
	xpc_release(dictionary);
	return started;
}

struct started start_shared(void)
{
	struct started started = start(description(VMNET_SHARED_MODE));
	EQUAL(started.status, VMNET_SUCCESS);
	return started;
}

void stop(struct started *started)
{
	if (started->status == VMNET_SUCCESS) {
		dispatch_semaphore_t done = dispatch_semaphore_create(0);
		__block vmnet_return_t result = 0;
		EQUAL(vmnet_stop_interface(started->interface, started->queue, ^(vmnet_return_t status) {
			result = status;
			dispatch_semaphore_signal(done);
		      }),
		      VMNET_SUCCESS);
		EQUAL(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER), 0);
		EQUAL(result, VMNET_SUCCESS);
		dispatch_release((dispatch_object_t)done);
		xpc_release(started->parameters);
	}
	dispatch_release((dispatch_object_t)started->queue);
}

struct batch *batch_of(size_t size)
{
	struct batch *batch = calloc(1, sizeof *batch);
	batch->size = size;
	batch->bytes = calloc(300, size);
	batch_reset(batch);
	return batch;
}

void batch_reset(struct batch *batch)
{
	for (int i = 0; i < 300; i++) {
		batch->iovecs[i] = (struct iovec){batch->bytes + (size_t)i * batch->size, batch->size};
		batch->packets[i] = (struct vmpktdesc){batch->size, &batch->iovecs[i], 1, 0};
	}
}

void batch_free(struct batch *batch)
{
	free(batch->bytes);
	free(batch);
}

static int run_all(const struct check *checks)
{
	int count = 0;
	for (; checks->name != NULL; checks++, count++) {
		running = checks->name;
		EQUAL(standin_control("reset; start-delay 500; stop-delay 500"), 0);
		checks->run();
		until("nothing is left", ^bool(void) {
		  return standin_live("all") == 0;
		});
		printf("ok %s\n", checks->name);
		fflush(stdout);
	}
	return count;
}

int main(void)
{
	const struct check *const all[] = {block_checks,  xpc_checks,	dispatch_checks, interface_checks,
					   packet_checks, event_checks, rule_checks,	 network_checks};
	int count = 0;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		count += run_all(all[i]);
	/* The thread of the last queue may still be on its way out. */
	usleep(50000);
	printf("%d checks, %lld objects made, %lld left\n", count, (long long)standin_created("all"),
	       (long long)standin_live("all"));
	return 0;
}
