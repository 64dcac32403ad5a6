#ifndef DISPATCH_H
#define DISPATCH_H

#include "apple.h"

void queue_check(dispatch_queue_t queue, const char *call);
dispatch_queue_t queue_retain(dispatch_queue_t queue);
void queue_release(dispatch_queue_t queue);

/* Runs function(context) on the queue's thread, after all that was posted before. */
void queue_post(dispatch_queue_t queue, dispatch_function_t function, void *context);

#endif
