#include "checks.h"

#include <Block.h>

/* A block literal as a program without a compiler for blocks makes it. */
struct descriptor {
	unsigned long reserved, size;
};

struct literal {
	void *isa;
	int32_t flags, reserved;
	void (*invoke)(void *self);
	struct descriptor *descriptor;
};

#define GLOBAL (1 << 28)

extern void *_NSConcreteGlobalBlock[32], *_NSConcreteStackBlock[32];

static struct descriptor descriptor = {0, sizeof(struct literal)};
static _Atomic int calls;

static void count_call(void *self)
{
	calls += ((struct literal *)self)->descriptor == &descriptor;
}

static struct literal by_hand(void)
{
	return (struct literal){_NSConcreteGlobalBlock, GLOBAL, 0, count_call, &descriptor};
}

static void post(struct literal *block)
{
	dispatch_queue_t queue = dispatch_queue_create("blocks", NULL);
	dispatch_sync(queue, (dispatch_block_t)(void *)block);
	dispatch_release((dispatch_object_t)queue);
}

static void made_by_hand(void)
{
	struct literal block = by_hand();
	calls = 0;
	post(&block);
	EQUAL(calls, 1);
}

static void made_wrong(void)
{
	void (^dies_with)(const char *, void (^)(struct literal *)) = ^(const char *words, void (^spoil)(struct literal *)) {
	  dies(words, ^{
	    struct literal block = by_hand();
	    spoil(&block);
	    post(&block);
	  });
	};
	dies_with("isa", ^(struct literal *block) {
	  block->isa = _NSConcreteGlobalBlock[0]; /* the symbol's contents, not its address */
	});
	dies_with("flags", ^(struct literal *block) {
	  block->flags = 1 << 29;
	});
	dies_with("flags", ^(struct literal *block) {
	  block->isa = _NSConcreteStackBlock;
	});
	dies_with("reserved", ^(struct literal *block) {
	  block->reserved = 1;
	});
	dies_with("without a descriptor", ^(struct literal *block) {
	  block->descriptor = NULL;
	});
	dies_with("without a function", ^(struct literal *block) {
	  block->invoke = NULL;
	});
	dies_with("descriptor is wrong", ^(struct literal *block) {
	  static struct descriptor small = {0, 24};
	  block->descriptor = &small;
	});
	dies("NULL where a block", ^{
	  post(NULL);
	});
}

/* The memory of a hand-made block is given back while vmnet still holds it. */
static void freed_too_early(void)
{
	dies("which was freed", ^{
	  struct literal block = by_hand(), *held = &block;
	  dispatch_queue_t queue = dispatch_queue_create("blocks", NULL);
	  dispatch_semaphore_t go = dispatch_semaphore_create(0);
	  dispatch_async(queue, ^{
	    dispatch_semaphore_wait(go, DISPATCH_TIME_FOREVER);
	  });
	  dispatch_async(queue, (dispatch_block_t)(void *)held);
	  held->isa = (void *)held;
	  dispatch_semaphore_signal(go);
	  dispatch_sync(queue, ^{
	  });
	});
}

/* A block with captured variables outlives the frame it was made in, and lets go of what it captured. */
static void copied_and_released(void)
{
	dispatch_queue_t queue = dispatch_queue_create("blocks", NULL);
	dispatch_semaphore_t go = dispatch_semaphore_create(0);
	__block int sum = 0;
	for (int i = 1; i <= 3; i++)
		dispatch_async(queue, ^{
		  if (i == 1)
			  dispatch_semaphore_wait(go, DISPATCH_TIME_FOREVER);
		  sum += i;
		});
	EQUAL(standin_live("block") >= 2, 1);
	dispatch_semaphore_signal(go);
	dispatch_sync(queue, ^{
	});
	EQUAL(sum, 6);
	dispatch_release((dispatch_object_t)go);
	dispatch_release((dispatch_object_t)queue);
}

const struct check block_checks[] = {
	{"a global block made by hand is called", made_by_hand},
	{"a block made wrong is refused", made_wrong},
	{"a block freed too early is found", freed_too_early},
	{"blocks are copied, and the copies released", copied_and_released},
	{NULL, NULL},
};
