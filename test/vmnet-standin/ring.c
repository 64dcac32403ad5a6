#include "ring.h"

#include <stdlib.h>
#include <string.h>

#include "object.h"

void ring_init(struct ring *ring)
{
	*ring = (struct ring){0};
	pthread_mutex_init(&ring->lock, NULL);
}

void ring_open(struct ring *ring, size_t capacity, size_t slot_size)
{
	pthread_mutex_lock(&ring->lock);
	ring->slots = calloc(capacity, slot_size);
	ring->lengths = calloc(capacity, sizeof *ring->lengths);
	if (ring->slots == NULL || ring->lengths == NULL)
		misuse("out of memory");
	ring->capacity = capacity;
	ring->slot_size = slot_size;
	pthread_mutex_unlock(&ring->lock);
}

void ring_close(struct ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	free(ring->slots);
	free(ring->lengths);
	ring->slots = NULL;
	ring->lengths = NULL;
	ring->capacity = ring->used = ring->first = 0;
	pthread_mutex_unlock(&ring->lock);
}

void ring_destroy(struct ring *ring)
{
	ring_close(ring);
	pthread_mutex_destroy(&ring->lock);
}

bool ring_push(struct ring *ring, size_t blank, const uint8_t *frame, size_t length)
{
	pthread_mutex_lock(&ring->lock);
	bool fits = ring->used < ring->capacity && blank + length <= ring->slot_size;
	if (fits) {
		size_t i = (ring->first + ring->used++) % ring->capacity;
		uint8_t *slot = ring->slots + i * ring->slot_size;
		memset(slot, 0, blank);
		memcpy(slot + blank, frame, length);
		ring->lengths[i] = (uint32_t)(blank + length);
		ring->pushed++;
	} else {
		ring->refused++;
	}
	pthread_mutex_unlock(&ring->lock);
	return fits;
}

size_t ring_take(struct ring *ring, uint8_t *buffer, size_t capacity)
{
	size_t length = 0;
	pthread_mutex_lock(&ring->lock);
	if (ring->used > 0) {
		length = ring->lengths[ring->first];
		memcpy(buffer, ring->slots + ring->first * ring->slot_size, length < capacity ? length : capacity);
		ring->first = (ring->first + 1) % ring->capacity;
		ring->used--;
	}
	pthread_mutex_unlock(&ring->lock);
	return length;
}

size_t ring_next_length(struct ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	size_t length = ring->used > 0 ? ring->lengths[ring->first] : 0;
	pthread_mutex_unlock(&ring->lock);
	return length;
}

size_t ring_used(struct ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	size_t used = ring->used;
	pthread_mutex_unlock(&ring->lock);
	return used;
}

bool ring_full(struct ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	bool full = ring->used == ring->capacity;
	pthread_mutex_unlock(&ring->lock);
	return full;
}
