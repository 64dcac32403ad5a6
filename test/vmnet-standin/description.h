/*
 * What a caller asks for when it starts an interface, checked.
 *
 * It refuses what vmnet refuses, and more: a key that does not exist, or a key that means nothing in the mode, would be
 * ignored there and would be a mistake of ours.
 */
#ifndef DESCRIPTION_H
#define DESCRIPTION_H

#include "apple.h"

struct description {
	vmnet_mode_t mode;
	xpc_uuid_t id;
	bool has_id;
	bool allocate_mac, tso, isolation, checksum_offload, virtio_header;
	bool own_network; /* a network identifier: an isolated network without DHCP */
	uint32_t mtu;
	char bridge[64];
	/* Host byte order; all 0 when not given. */
	uint32_t start, end, mask;
	char nat66_prefix[46];
};

/* Why `description` is refused goes to stderr. */
vmnet_return_t description_parse(xpc_object_t description, struct description *parsed);

/* The same for an interface of a vmnet_network, where fewer keys mean something. */
vmnet_return_t description_parse_for_network(xpc_object_t description, struct description *parsed);

bool is_private(uint32_t address);
bool is_contiguous(uint32_t mask);

#endif
