/*
 * The caller's blocks. Each is looked at before it is copied, and again before every call: a literal made by hand with a
 * wrong isa, flags or descriptor, or one whose memory was freed while vmnet still had it, ends the process with a
 * sentence. https://clang.llvm.org/docs/Block-ABI-Apple.html
 */
#ifndef BLOCK_H
#define BLOCK_H

/* A copy as Block_copy makes it, counted. `call` is the function that was given the block. */
void *block_keep(const void *block, const char *call);

void *block_keep_again(void *kept);
void block_drop(void *kept);

/* Checks the block that is about to be called. */
void block_check(const void *block, const char *call);

#endif
