#include "checks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX 1514

static uint8_t frame[MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0};

static vmnet_return_t read_some(struct started *started, struct batch *batch, int *count)
{
	return vmnet_read(started->interface, batch->packets, count);
}

/* Frames of these lengths, in one write. */
static vmnet_return_t write_some(struct started *started, struct batch *batch, int *count, size_t length)
{
	for (int i = 0; i < *count; i++) {
		memcpy(batch->iovecs[i].iov_base, frame, sizeof frame);
		batch->iovecs[i].iov_len = length;
		batch->packets[i].vm_pkt_size = length;
	}
	return vmnet_write(started->interface, batch->packets, count);
}

static void reads(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 10;
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 0);

	EQUAL(standin_inject(0, frame, 60, 3), 3);
	EQUAL(standin_inject(0, frame, MAX, 1), 1);
	count = 3;
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 3);
	EQUAL(batch->packets[0].vm_pkt_size, 60);
	EQUAL(batch->iovecs[0].iov_len, MAX);
	CHECK(memcmp(batch->bytes, frame, 60) == 0);

	count = 3;
	EQUAL(read_some(&started, batch, &count), VMNET_INVALID_ARGUMENT); /* sizes not set again */
	EQUAL(count, 3);
	batch_reset(batch);
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 1);
	EQUAL(batch->packets[0].vm_pkt_size, MAX);
	batch_free(batch);
	stop(&started);
}

static void read_descriptors(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX - 1);
	int count = 1;
	EQUAL(read_some(&started, batch, &count), VMNET_MEM_FAILURE);
	batch_free(batch);
	batch = batch_of(MAX);
	count = 257;
	EQUAL(read_some(&started, batch, &count), VMNET_TOO_MANY_PACKETS);
	count = 0;
	EQUAL(read_some(&started, batch, &count), VMNET_INVALID_ARGUMENT);
	count = 2;
	batch->packets[1].vm_pkt_iovcnt = 2;
	EQUAL(read_some(&started, batch, &count), VMNET_INVALID_ARGUMENT);
	batch_reset(batch);
	batch->packets[1].vm_flags = 1;
	EQUAL(read_some(&started, batch, &count), VMNET_INVALID_ARGUMENT);
	batch_free(batch);
	stop(&started);
}

static void a_call_moves_no_more_than_256_kilobytes(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	EQUAL(standin_inject(0, frame, MAX, 256), 256);
	int count = 256;
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 262144 / MAX);
	batch_reset(batch);
	count = 256;
	EQUAL(write_some(&started, batch, &count, MAX), VMNET_TOO_MANY_PACKETS);
	batch_free(batch);
	stop(&started);
}

static void writes(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 2;
	EQUAL(write_some(&started, batch, &count, 14), VMNET_SUCCESS);
	EQUAL(count, 2);
	uint8_t taken[MAX];
	EQUAL(standin_take(0, taken, sizeof taken), 14);
	CHECK(memcmp(taken, frame, 14) == 0);
	EQUAL(standin_take(0, taken, sizeof taken), 14);
	EQUAL(standin_take(0, taken, sizeof taken), 0);
	EQUAL(standin_count(0, "written"), 2);
	batch_free(batch);
	stop(&started);
}

static void write_descriptors(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX + 1);
	int count = 1;
	EQUAL(write_some(&started, batch, &count, 13), VMNET_INVALID_ARGUMENT);
	EQUAL(write_some(&started, batch, &count, 4), VMNET_INVALID_ARGUMENT);
	EQUAL(write_some(&started, batch, &count, MAX + 1), VMNET_PACKET_TOO_BIG);
	batch->iovecs[0].iov_len = 60;
	batch->packets[0].vm_pkt_size = 61;
	EQUAL(vmnet_write(started.interface, batch->packets, &count), VMNET_INVALID_ARGUMENT);
	batch->packets[0].vm_pkt_size = 60;
	batch->packets[0].vm_pkt_iovcnt = 2;
	EQUAL(vmnet_write(started.interface, batch->packets, &count), VMNET_INVALID_ARGUMENT);

	/* One bad frame, and nothing of the batch is written. */
	batch_reset(batch);
	count = 3;
	write_some(&started, batch, &count, 60);
	EQUAL(standin_count(0, "written"), 3);
	batch->packets[1].vm_pkt_size = batch->iovecs[1].iov_len = 4;
	EQUAL(vmnet_write(started.interface, batch->packets, &count), VMNET_INVALID_ARGUMENT);
	EQUAL(count, 3);
	EQUAL(standin_count(0, "written"), 3);
	batch_free(batch);
	stop(&started);
}

static void partly_written(void)
{
	standin_control("ring 4");
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 6;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	EQUAL(count, 4);
	count = 2;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	EQUAL(count, 0);
	uint8_t taken[MAX];
	EQUAL(standin_take(0, taken, sizeof taken), 60);
	standin_control("write-take 1 1");
	count = 1;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	EQUAL(count, 0);
	count = 1;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	EQUAL(count, 1);
	batch_free(batch);
	stop(&started);
}

static void faults(void)
{
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 1;
	standin_control("read-status 1007 2; write-status 1007 1");
	EQUAL(read_some(&started, batch, &count), VMNET_BUFFER_EXHAUSTED);
	EQUAL(read_some(&started, batch, &count), VMNET_BUFFER_EXHAUSTED);
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	count = 1;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_BUFFER_EXHAUSTED);
	EQUAL(count, 1);
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	batch_free(batch);
	stop(&started);
}

static void bounded(void)
{
	standin_control("ring 8");
	struct started started = start_shared();
	EQUAL(standin_inject(0, frame, 60, 10), 8);
	EQUAL(standin_count(0, "dropped"), 2);
	EQUAL(standin_count(0, "waiting"), 8);
	EQUAL(standin_inject(0, frame, MAX + 1, 1), 0);
	stop(&started);
}

static void there_and_back(const char *backend, const uint8_t *expected)
{
	standin_control(backend);
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 1;
	EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
	batch_reset(batch);
	memset(batch->bytes, 0, MAX);
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 1);
	CHECK(memcmp(batch->bytes, expected, 14) == 0);
	batch_free(batch);
	stop(&started);
}

static void backends(void)
{
	static const uint8_t swapped[14] = {7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 8, 0};
	there_and_back("backend loop", frame);
	there_and_back("backend echo", swapped);

	standin_control("backend source; source-size 100");
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	int count = 256;
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(count, 256);
	EQUAL(batch->packets[255].vm_pkt_size, 100);
	batch_free(batch);
	stop(&started);
}

static void virtio_header(void)
{
	xpc_object_t wanted = description(VMNET_SHARED_MODE);
	xpc_dictionary_set_bool(wanted, vmnet_enable_virtio_header_key, true);
	struct started started = start(wanted);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_max_packet_size_key), MAX);
	struct batch *batch = batch_of(MAX + 12);
	EQUAL(standin_inject(0, frame, 60, 1), 1);
	int count = 1;
	EQUAL(read_some(&started, batch, &count), VMNET_SUCCESS);
	EQUAL(batch->packets[0].vm_pkt_size, 72);
	CHECK(memcmp(batch->bytes + 12, frame, 60) == 0);
	EQUAL(write_some(&started, batch, &count, 25), VMNET_INVALID_ARGUMENT);
	EQUAL(write_some(&started, batch, &count, 26), VMNET_SUCCESS);
	uint8_t taken[MAX];
	EQUAL(standin_take(0, taken, sizeof taken), 14);
	batch_free(batch);
	stop(&started);
}

static void *keep_reading(void *argument)
{
	struct started *started = argument;
	struct batch *batch = batch_of(MAX);
	int total = 0;
	while (total < 5000) {
		int count = 100;
		batch_reset(batch);
		EQUAL(read_some(started, batch, &count), VMNET_SUCCESS);
		total += count;
	}
	batch_free(batch);
	return NULL;
}

static void reads_and_writes_at_once(void)
{
	standin_control("backend loop");
	struct started started = start_shared();
	struct batch *batch = batch_of(MAX);
	pthread_t reader;
	CHECK(pthread_create(&reader, NULL, keep_reading, &started) == 0);
	for (int left = 5000; left > 0;) {
		int count = left < 50 ? left : 50;
		EQUAL(write_some(&started, batch, &count, 60), VMNET_SUCCESS);
		left -= count;
	}
	pthread_join(reader, NULL);
	batch_free(batch);
	stop(&started);
}

const struct check packet_checks[] = {
	{"reading", reads},
	{"descriptors of a read", read_descriptors},
	{"a call moves no more than 256 KiB", a_call_moves_no_more_than_256_kilobytes},
	{"writing", writes},
	{"descriptors of a write", write_descriptors},
	{"a batch is written in part", partly_written},
	{"faults of reading and writing", faults},
	{"what waits is bounded", bounded},
	{"what is written comes back, or never ends", backends},
	{"the virtio header", virtio_header},
	{"reading and writing at once", reads_and_writes_at_once},
	{NULL, NULL},
};
