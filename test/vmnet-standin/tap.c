/* What is behind the interface: a TAP, in a network namespace when one is named. Made when it does not exist. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "interface.h"

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "vmnet-standin: %s %s: %s\n", what, name, strerror(errno));
	return -1;
}

/* The namespace is the calling thread's for good: it is the interface's own. */
static int enter(const char *netns)
{
	char path[512];
	snprintf(path, sizeof path, "%s%s", strchr(netns, '/') == NULL ? "/run/netns/" : "", netns);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail("open", path);
	int result = setns(fd, CLONE_NEWNET);
	close(fd);
	return result == 0 ? 0 : fail("setns", path);
}

int tap_open(const struct place *place)
{
	if (place->netns[0] != '\0' && enter(place->netns) != 0)
		return -1;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail("open", "/dev/net/tun");
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	memcpy(request.ifr_name, place->tap, sizeof request.ifr_name);
	if (ioctl(fd, TUNSETIFF, &request) != 0) {
		close(fd);
		return fail("TUNSETIFF", place->tap);
	}
	return fd;
}
