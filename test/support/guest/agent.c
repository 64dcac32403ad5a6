/*
 * Runs commands in a test VM for the host, over a serial port. Several may run at once.
 *
 *   host to guest   run ID LENGTH\n<LENGTH bytes of shell command>        kill ID\n
 *   guest to host   ready\n           done ID STATUS LENGTH\n<LENGTH bytes of output, stdout and stderr together>
 *
 * STATUS is the exit code, or 128 + the signal. It is process 1: it never exits, and reaps whatever it is given.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_JOBS 16
#define MAX_COMMAND 65536  /* bytes */
#define MAX_OUTPUT 1048576 /* bytes; the rest is thrown away */

struct job {
	unsigned id;
	pid_t pid; /* 0: free */
	int output;
	char *text;
	size_t length;
};

static struct job jobs[MAX_JOBS];
static int port;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(port, bytes, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("write");
		bytes += n;
		length -= n;
	}
}

static void send_line(const char *format, ...)
{
	char line[128];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	send_all(line, length);
}

static void receive_all(char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = read(port, bytes, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("read");
		bytes += n;
		length -= n;
	}
}

static void receive_line(char *line, size_t size)
{
	size_t length = 0;
	do {
		if (length == size - 1)
			die("line too long");
		receive_all(line + length, 1);
	} while (line[length++] != '\n');
	line[length - 1] = 0;
}

static struct job *find(pid_t pid, unsigned id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid == pid && (pid == 0 || jobs[i].id == id))
			return &jobs[i];
	return NULL;
}

static void start(unsigned id, const char *command)
{
	struct job *job = find(0, 0);
	int ends[2];
	if (!job || pipe2(ends, O_CLOEXEC) < 0) {
		send_line("done %u 126 0\n", id);
		return;
	}
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		setsid();
		int nothing = open("/dev/null", O_RDONLY);
		dup2(nothing, 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(ends[1]);
	*job = (struct job){ .id = id, .pid = pid, .output = ends[0], .text = malloc(MAX_OUTPUT) };
	if (!job->text)
		die("malloc");
}

static void stop(unsigned id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid && jobs[i].id == id)
			kill(-jobs[i].pid, SIGKILL);
}

static void take_request(void)
{
	static char command[MAX_COMMAND + 1];
	char line[64];
	unsigned id;
	size_t length;
	receive_line(line, sizeof line);
	if (sscanf(line, "run %u %zu", &id, &length) == 2 && length <= MAX_COMMAND) {
		receive_all(command, length);
		command[length] = 0;
		start(id, command);
	} else if (sscanf(line, "kill %u", &id) == 1) {
		stop(id);
	} else {
		die("bad request");
	}
}

/* The output ends when the command and all it left behind have closed it: a command that starts a server sends its
 * output elsewhere. */
static void take_output(struct job *job)
{
	static char excess[4096];
	size_t room = MAX_OUTPUT - job->length;
	ssize_t n = read(job->output, room ? job->text + job->length : excess, room ? room : sizeof excess);
	if (n > 0) {
		job->length += room ? n : 0;
		return;
	}
	int status = 0;
	waitpid(job->pid, &status, 0);
	send_line("done %u %d %zu\n", job->id, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
		  job->length);
	send_all(job->text, job->length);
	close(job->output);
	free(job->text);
	job->pid = 0;
}

static void reap_orphans(void)
{
	siginfo_t ended;
	for (int i = 0; i < MAX_JOBS + 1; i++) {
		ended.si_pid = 0;
		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || ended.si_pid == 0)
			return;
		for (int j = 0; j < MAX_JOBS; j++)
			if (jobs[j].pid == ended.si_pid)
				return;
		waitpid(ended.si_pid, NULL, 0);
	}
}

static void serve(void)
{
	struct pollfd ready[MAX_JOBS + 1] = { { .fd = port, .events = POLLIN } };
	for (int i = 0; i < MAX_JOBS; i++)
		ready[i + 1] = (struct pollfd){ .fd = jobs[i].pid ? jobs[i].output : -1, .events = POLLIN };
	if (poll(ready, MAX_JOBS + 1, 1000) < 0 && errno != EINTR)
		die("poll");
	for (int i = 0; i < MAX_JOBS; i++)
		if (ready[i + 1].fd >= 0 && ready[i + 1].revents)
			take_output(&jobs[i]);
	if (ready[0].revents)
		take_request();
	reap_orphans();
}

int main(int argc, char **argv)
{
	struct termios settings;
	if (argc != 2)
		die("usage: agent DEVICE");
	port = open(argv[1], O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (port < 0 || tcgetattr(port, &settings) < 0)
		die(argv[1]);
	cfmakeraw(&settings);
	cfsetspeed(&settings, B115200);
	tcsetattr(port, TCSANOW, &settings);
	send_line("ready\n");
	for (;;)
		serve();
}
