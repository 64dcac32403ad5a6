#include "block.h"

#include <Block.h>
#include <stdint.h>
#include <string.h>

#include "object.h"

struct descriptor {
	unsigned long reserved;
	unsigned long size;
};

struct literal {
	void *isa;
	int32_t flags;
	int32_t reserved;
	void (*invoke)(void);
	struct descriptor *descriptor;
};

#define HAS_COPY_DISPOSE (1 << 25)
#define IS_GLOBAL (1 << 28)
#define HAS_SIGNATURE (1 << 30)

extern void *_NSConcreteGlobalBlock[32], *_NSConcreteStackBlock[32], *_NSConcreteMallocBlock[32];

/* Where the descriptor holds the signature: after the copy and dispose helpers, when there are any. */
static const char *signature_of(const struct literal *block)
{
	size_t offset = sizeof(struct descriptor) + (block->flags & HAS_COPY_DISPOSE ? 2 * sizeof(void *) : 0);
	const char *signature;
	memcpy(&signature, (const char *)block->descriptor + offset, sizeof signature);
	return signature;
}

void block_check(const void *pointer, const char *call)
{
	const struct literal *block = pointer;
	if (block == NULL)
		misuse("%s: NULL where a block is wanted", call);
	bool global = block->isa == (void *)_NSConcreteGlobalBlock;
	if (!global && block->isa != (void *)_NSConcreteStackBlock && block->isa != (void *)_NSConcreteMallocBlock)
		misuse("%s: a block whose isa %p is the address of no _NSConcrete...Block, or which was freed", call,
		       block->isa);
	if (global != ((block->flags & IS_GLOBAL) != 0))
		misuse("%s: a block whose flags 0x%x do not go with its isa", call, (unsigned)block->flags);
	if (block->reserved != 0)
		misuse("%s: a block whose reserved field is not 0", call);
	if (block->invoke == NULL || block->descriptor == NULL)
		misuse("%s: a block without a function or without a descriptor", call);
	const struct descriptor *descriptor = block->descriptor;
	if (descriptor->reserved != 0 || descriptor->size < sizeof *block || descriptor->size > 65536)
		misuse("%s: a block whose descriptor is wrong: reserved %lu, size %lu", call, descriptor->reserved,
		       descriptor->size);
	if (block->flags & HAS_SIGNATURE && signature_of(block) == NULL)
		misuse("%s: a block whose flags promise a signature that is not there", call);
}

void *block_keep(const void *block, const char *call)
{
	block_check(block, call);
	count_made(KIND_BLOCK);
	return _Block_copy(block);
}

void *block_keep_again(void *kept)
{
	return block_keep(kept, "a block that vmnet holds");
}

void block_drop(void *kept)
{
	if (kept == NULL)
		return;
	_Block_release(kept);
	count_gone(KIND_BLOCK);
}
