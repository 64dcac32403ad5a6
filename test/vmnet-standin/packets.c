/*
 * vmnet_read and vmnet_write, and what a test puts in and takes out.
 *
 * The descriptors are checked as vmnet checks them, all of them before any frame moves: one bad descriptor fails the
 * whole call, and *count is left as it was. A read wants every vm_pkt_size set to the maximum again before each call, since
 * the call before wrote the frames' lengths there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "interface.h"
#include "standin.h"

#define MIN_FRAME 14 /* bytes: an Ethernet header */

static size_t limit(const interface_ref interface)
{
	return interface->header + interface->max_packet_size;
}

/* What is wrong with a call as a whole. */
static vmnet_return_t check_call(interface_ref interface, const struct vmpktdesc *packets, const int *count)
{
	int state = atomic_load(&interface->state);
	if (state != STATE_RUNNING)
		return state == STATE_STARTING ? VMNET_SETUP_INCOMPLETE : VMNET_INVALID_ACCESS;
	if (packets == NULL || count == NULL || *count <= 0)
		return VMNET_INVALID_ARGUMENT;
	if (*count > setting(SETTING_MAX_PACKETS))
		return VMNET_TOO_MANY_PACKETS;
	for (int i = 0; i < *count; i++)
		if (packets[i].vm_pkt_iovcnt != 1 || packets[i].vm_flags != 0 || packets[i].vm_pkt_iov == NULL ||
		    packets[i].vm_pkt_iov->iov_base == NULL ||
		    packets[i].vm_pkt_iov->iov_len != packets[i].vm_pkt_size)
			return VMNET_INVALID_ARGUMENT;
	return VMNET_SUCCESS;
}

/* The next frame of the ring, or of the endless source: a broadcast unless it was told to whom. */
static size_t next_frame(interface_ref interface, uint8_t *buffer, size_t capacity, size_t source_size, int to)
{
	static const uint8_t header[MIN_FRAME] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
	if (source_size == 0)
		return ring_take(&interface->inbound, buffer, capacity);
	memcpy(buffer + interface->header, header, sizeof header);
	if (to != 0) {
		const uint8_t destination[] = {2, 0, 0, 0, 0, (uint8_t)to};
		memcpy(buffer + interface->header, destination, sizeof destination);
	}
	return interface->header + source_size;
}

vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *count)
{
	interface_check(interface, "vmnet_read");
	object_retain(interface, "vmnet_read");
	atomic_fetch_add(&interface->reads, 1);
	vmnet_return_t status = check_call(interface, packets, count);
	vmnet_return_t fault = (vmnet_return_t)setting(SETTING_READ_STATUS);
	if (status == VMNET_SUCCESS && fault != 0)
		status = fault;
	for (int i = 0; status == VMNET_SUCCESS && i < *count; i++)
		if (packets[i].vm_pkt_size < limit(interface))
			status = VMNET_MEM_FAILURE;
	if (status == VMNET_SUCCESS) {
		size_t room = (size_t)setting(SETTING_MAX_BYTES);
		size_t source = interface->place.backend == BACKEND_SOURCE ? (size_t)setting(SETTING_SOURCE_SIZE) : 0;
		int to = setting(SETTING_SOURCE_TO);
		int taken = 0;
		while (taken < *count) {
			struct vmpktdesc *packet = &packets[taken];
			size_t next = source == 0 ? ring_next_length(&interface->inbound) : source;
			if (next == 0 || next > room)
				break;
			packet->vm_pkt_size =
				next_frame(interface, packet->vm_pkt_iov->iov_base, packet->vm_pkt_size, source, to);
			room -= next;
			taken++;
		}
		*count = taken;
	}
	interface_release(interface);
	return status;
}

static vmnet_return_t check_written(interface_ref interface, const struct vmpktdesc *packets, int count)
{
	size_t bytes = 0;
	for (int i = 0; i < count; i++) {
		if (packets[i].vm_pkt_size < interface->header + MIN_FRAME)
			return VMNET_INVALID_ARGUMENT;
		if (packets[i].vm_pkt_size > limit(interface))
			return VMNET_PACKET_TOO_BIG;
		bytes += packets[i].vm_pkt_size;
	}
	return count > 1 && bytes > (size_t)setting(SETTING_MAX_BYTES) ? VMNET_TOO_MANY_PACKETS : VMNET_SUCCESS;
}

static bool back_to_reader(interface_ref interface, uint8_t *frame, size_t length, bool swap)
{
	uint8_t copy[VIRTIO_HEADER + 65550];
	memcpy(copy, frame, length);
	if (swap) {
		memcpy(copy, frame + 6, 6);
		memcpy(copy + 6, frame, 6);
	}
	return ring_push(&interface->inbound, interface->header, copy, length);
}

/* False when there is no room now. A frame that the TAP refuses for good is lost, as on any wire. */
static bool deliver(interface_ref interface, uint8_t *frame, size_t length)
{
	switch (interface->place.backend) {
	case BACKEND_MEMORY:
		return !ring_full(&interface->collected) && ring_push(&interface->collected, 0, frame, length);
	case BACKEND_LOOP:
	case BACKEND_ECHO:
		return !ring_full(&interface->inbound) &&
		       back_to_reader(interface, frame, length, interface->place.backend == BACKEND_ECHO);
	case BACKEND_TAP:
		return write(interface->tap, frame, length) >= 0 || errno != EAGAIN;
	case BACKEND_SINK:
	case BACKEND_SOURCE:
		break;
	}
	return true;
}

vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *count)
{
	interface_check(interface, "vmnet_write");
	object_retain(interface, "vmnet_write");
	atomic_fetch_add(&interface->writes, 1);
	vmnet_return_t status = check_call(interface, packets, count);
	if (status == VMNET_SUCCESS)
		status = check_written(interface, packets, *count);
	vmnet_return_t fault = (vmnet_return_t)setting(SETTING_WRITE_STATUS);
	if (status == VMNET_SUCCESS && fault != 0)
		status = fault;
	if (status == VMNET_SUCCESS) {
		int take = setting(SETTING_WRITE_TAKE);
		int room = take > 0 && take - 1 < *count ? take - 1 : *count;
		int done = 0;
		while (done < room) {
			uint8_t *bytes = packets[done].vm_pkt_iov->iov_base;
			if (!deliver(interface, bytes + interface->header, packets[done].vm_pkt_size - interface->header))
				break;
			done++;
		}
		atomic_fetch_add(&interface->written, done);
		*count = done;
		bool returned = interface->place.backend == BACKEND_LOOP || interface->place.backend == BACKEND_ECHO;
		if (done > 0 && returned)
			interface_notify(interface);
	}
	interface_release(interface);
	return status;
}

int standin_inject(int number, const void *frame, size_t length, int times)
{
	interface_ref interface = interface_find(number);
	if (interface == NULL)
		return -1;
	int fitted = 0;
	for (int i = 0; i < times; i++)
		fitted += ring_push(&interface->inbound, interface->header, frame, length);
	if (fitted > 0)
		interface_notify(interface);
	interface_release(interface);
	return fitted;
}

int64_t standin_take(int number, void *buffer, size_t capacity)
{
	interface_ref interface = interface_find(number);
	if (interface == NULL)
		return -1;
	size_t length = ring_take(&interface->collected, buffer, capacity);
	interface_release(interface);
	return (int64_t)length;
}

static int64_t counter(interface_ref interface, const char *what)
{
	if (strcmp(what, "waiting") == 0)
		return (int64_t)ring_used(&interface->inbound);
	if (strcmp(what, "collected") == 0)
		return (int64_t)ring_used(&interface->collected);
	if (strcmp(what, "written") == 0)
		return atomic_load(&interface->written);
	if (strcmp(what, "events") == 0)
		return atomic_load(&interface->events);
	if (strcmp(what, "reads") == 0)
		return atomic_load(&interface->reads);
	if (strcmp(what, "writes") == 0)
		return atomic_load(&interface->writes);
	if (strcmp(what, "dropped") != 0)
		return -1;
	pthread_mutex_lock(&interface->inbound.lock);
	int64_t refused = (int64_t)interface->inbound.refused;
	pthread_mutex_unlock(&interface->inbound.lock);
	return refused;
}

int64_t standin_count(int number, const char *what)
{
	interface_ref interface = interface_find(number);
	if (interface == NULL)
		return -1;
	int64_t value = counter(interface, what);
	interface_release(interface);
	return value;
}

int64_t standin_describe(int number, char *buffer, size_t capacity)
{
	interface_ref interface = interface_find(number);
	if (interface == NULL)
		return -1;
	const struct description *description = &interface->description;
	int length = snprintf(buffer, capacity,
			      "{\"number\": %d, \"mode\": %u, \"mtu\": %u, \"bridge\": \"%s\", \"allocateMac\": %s, "
			      "\"tso\": %s, \"isolation\": %s, \"checksumOffload\": %s, \"virtioHeader\": %s, "
			      "\"ownNetwork\": %s, \"hasInterfaceId\": %s, \"network\": ",
			      interface->number, description->mode, description->mtu, description->bridge,
			      description->allocate_mac ? "true" : "false", description->tso ? "true" : "false",
			      description->isolation ? "true" : "false", description->checksum_offload ? "true" : "false",
			      description->virtio_header ? "true" : "false", description->own_network ? "true" : "false",
			      description->has_id ? "true" : "false");
	if (length > 0 && (size_t)length < capacity)
		length += network_describe(interface->network, buffer + length, capacity - (size_t)length);
	if ((size_t)length + 2 > capacity)
		length = -1;
	else
		strcpy(buffer + length++, "}");
	interface_release(interface);
	return length;
}
