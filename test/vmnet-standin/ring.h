/* A bounded queue of frames, safe between threads. Full, it refuses the newest. */
#ifndef RING_H
#define RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	pthread_mutex_t lock;
	uint8_t *slots;
	uint32_t *lengths;
	size_t slot_size; /* bytes */
	size_t capacity, first, used;
	uint64_t pushed, refused;
};

void ring_init(struct ring *ring);
void ring_open(struct ring *ring, size_t capacity, size_t slot_size);

/* It holds nothing and takes nothing from now on. */
void ring_close(struct ring *ring);
void ring_destroy(struct ring *ring);

/* `blank` zero bytes are put before the frame. */
bool ring_push(struct ring *ring, size_t blank, const uint8_t *frame, size_t length);

/* The length of the frame taken, of which what `capacity` has room for was copied; 0 when there is none. */
size_t ring_take(struct ring *ring, uint8_t *buffer, size_t capacity);

/* The length of the frame that is next; 0 when there is none. */
size_t ring_next_length(struct ring *ring);
size_t ring_used(struct ring *ring);
bool ring_full(struct ring *ring);

#endif
