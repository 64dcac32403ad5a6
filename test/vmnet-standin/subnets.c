/*
 * Which IPv4 subnet each interface is on. Interfaces of one mode that ask for nothing share the first subnet of their
 * mode (192.168.64.0/24 upward for shared, 192.168.128.0/24 for host); one subnet cannot be in both modes, and whoever has
 * it first keeps it until the last of its interfaces has stopped.
 */
#include "interface.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static interface_ref holders[MAX_INTERFACES];

static bool overlap(const struct description *a, const struct description *b)
{
	uint32_t mask = a->mask & b->mask;
	return (a->start & mask) == (b->start & mask);
}

static bool taken_in_other_mode(const struct description *wanted)
{
	for (int i = 0; i < MAX_INTERFACES; i++)
		if (holders[i] != NULL && holders[i]->description.mode != wanted->mode &&
		    overlap(&holders[i]->description, wanted))
			return true;
	return false;
}

static bool choose(struct description *description)
{
	uint32_t first = description->mode == VMNET_SHARED_MODE ? 64 : 128;
	for (uint32_t third = first; third < first + 64; third++) {
		description->mask = 0xffffff00;
		description->start = 192u << 24 | 168u << 16 | third << 8 | 1;
		description->end = description->start + 253;
		if (!taken_in_other_mode(description))
			return true;
	}
	return false;
}

vmnet_return_t subnet_claim(interface_ref interface)
{
	struct description *description = &interface->description;
	if (description->mode == VMNET_BRIDGED_MODE || description->own_network)
		return VMNET_SUCCESS;
	vmnet_return_t status = VMNET_SUCCESS;
	pthread_mutex_lock(&lock);
	if (description->mask == 0 ? !choose(description) : taken_in_other_mode(description))
		status = VMNET_SHARING_SERVICE_BUSY;
	for (int i = 0; i < MAX_INTERFACES && status == VMNET_SUCCESS; i++)
		if (holders[i] == NULL) {
			holders[i] = interface;
			break;
		}
	pthread_mutex_unlock(&lock);
	return status;
}

void subnet_give_up(interface_ref interface)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX_INTERFACES; i++)
		if (holders[i] == interface)
			holders[i] = NULL;
	pthread_mutex_unlock(&lock);
}
