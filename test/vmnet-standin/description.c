#include "description.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "settings.h"

#define IN(mode) (1u << ((mode) - VMNET_HOST_MODE))
#define ANY_MODE (IN(VMNET_HOST_MODE) | IN(VMNET_SHARED_MODE) | IN(VMNET_BRIDGED_MODE))
#define NOT_BRIDGED (IN(VMNET_HOST_MODE) | IN(VMNET_SHARED_MODE))
#define WITH_NETWORK (1u << 3)

static const struct key {
	const char *const *name;
	xpc_type_t type;
	unsigned where;
} keys[] = {
	{&vmnet_operation_mode_key, &_xpc_type_uint64, ANY_MODE},
	{&vmnet_interface_id_key, &_xpc_type_uuid, ANY_MODE},
	{&vmnet_mtu_key, &_xpc_type_uint64, NOT_BRIDGED},
	{&vmnet_allocate_mac_address_key, &_xpc_type_bool, ANY_MODE | WITH_NETWORK},
	{&vmnet_shared_interface_name_key, &_xpc_type_string, IN(VMNET_BRIDGED_MODE)},
	{&vmnet_start_address_key, &_xpc_type_string, NOT_BRIDGED},
	{&vmnet_end_address_key, &_xpc_type_string, NOT_BRIDGED},
	{&vmnet_subnet_mask_key, &_xpc_type_string, NOT_BRIDGED},
	{&vmnet_nat66_prefix_key, &_xpc_type_string, IN(VMNET_SHARED_MODE)},
	{&vmnet_network_identifier_key, &_xpc_type_uuid, IN(VMNET_HOST_MODE)},
	{&vmnet_host_ip_address_key, &_xpc_type_string, IN(VMNET_HOST_MODE)},
	{&vmnet_host_subnet_mask_key, &_xpc_type_string, IN(VMNET_HOST_MODE)},
	{&vmnet_host_ipv6_address_key, &_xpc_type_string, IN(VMNET_HOST_MODE)},
	{&vmnet_enable_tso_key, &_xpc_type_bool, ANY_MODE | WITH_NETWORK},
	{&vmnet_enable_isolation_key, &_xpc_type_bool, ANY_MODE | WITH_NETWORK},
	{&vmnet_enable_checksum_offload_key, &_xpc_type_bool, ANY_MODE | WITH_NETWORK},
	{&vmnet_enable_virtio_header_key, &_xpc_type_bool, ANY_MODE},
};

static vmnet_return_t refuse(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("vmnet-standin: interface description refused: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return VMNET_INVALID_ARGUMENT;
}

static vmnet_return_t check_keys(xpc_object_t description, unsigned where)
{
	__block vmnet_return_t status = VMNET_SUCCESS;
	xpc_dictionary_apply(description, ^bool(const char *name, xpc_object_t value) {
	  const struct key *key = keys;
	  const struct key *end = keys + sizeof keys / sizeof *keys;
	  while (key < end && strcmp(*key->name, name) != 0)
		  key++;
	  if (key == end)
		  status = refuse("no such key: %s", name);
	  else if (xpc_get_type(value) != key->type)
		  status = refuse("%s is %s, must be %s", name, xpc_type_get_name(xpc_get_type(value)),
				  xpc_type_get_name(key->type));
	  else if ((key->where & where) == 0)
		  status = refuse("%s means nothing in this mode", name);
	  return status == VMNET_SUCCESS;
	});
	return status;
}

bool is_private(uint32_t address)
{
	return address >> 24 == 10 || address >> 20 == (172u << 4 | 1) || address >> 16 == (192u << 8 | 168);
}

bool is_contiguous(uint32_t mask)
{
	return mask != 0 && (~mask & (~mask + 1)) == 0;
}

static bool address_at(xpc_object_t description, const char *key, uint32_t *address)
{
	struct in_addr parsed;
	const char *text = xpc_dictionary_get_string(description, key);
	if (text == NULL || inet_pton(AF_INET, text, &parsed) != 1)
		return false;
	*address = ntohl(parsed.s_addr);
	return true;
}

static vmnet_return_t parse_addresses(xpc_object_t description, struct description *parsed)
{
	int given = (xpc_dictionary_get_value(description, vmnet_start_address_key) != NULL) +
		    (xpc_dictionary_get_value(description, vmnet_end_address_key) != NULL) +
		    (xpc_dictionary_get_value(description, vmnet_subnet_mask_key) != NULL);
	if (given == 0)
		return VMNET_SUCCESS;
	if (given != 3)
		return refuse("start address, end address and subnet mask come together");
	if (!address_at(description, vmnet_start_address_key, &parsed->start) ||
	    !address_at(description, vmnet_end_address_key, &parsed->end) ||
	    !address_at(description, vmnet_subnet_mask_key, &parsed->mask))
		return refuse("an address that is none");
	if (!is_contiguous(parsed->mask))
		return refuse("a subnet mask with holes");
	if (!is_private(parsed->start) || !is_private(parsed->end))
		return refuse("addresses outside RFC 1918");
	if ((parsed->start & parsed->mask) != (parsed->end & parsed->mask) || parsed->start >= parsed->end)
		return refuse("the end address must come after the start address, in its subnet");
	return VMNET_SUCCESS;
}

static vmnet_return_t parse_nat66(xpc_object_t description, struct description *parsed)
{
	const char *text = xpc_dictionary_get_string(description, vmnet_nat66_prefix_key);
	uint8_t prefix[16];
	static const uint8_t zeros[8];
	if (text == NULL)
		return VMNET_SUCCESS;
	if (inet_pton(AF_INET6, text, prefix) != 1 || prefix[0] != 0xfd || memcmp(prefix + 8, zeros, 8) != 0)
		return refuse("the NAT66 prefix must be a /64 in fd00::/8");
	snprintf(parsed->nat66_prefix, sizeof parsed->nat66_prefix, "%s", text);
	return VMNET_SUCCESS;
}

struct search {
	const char *name;
	bool found;
};

static void compare(const char *name, void *context)
{
	struct search *search = context;
	search->found |= strcmp(name, search->name) == 0;
}

static vmnet_return_t parse_bridge(xpc_object_t description, struct description *parsed)
{
	const char *name = xpc_dictionary_get_string(description, vmnet_shared_interface_name_key);
	if (parsed->mode != VMNET_BRIDGED_MODE)
		return VMNET_SUCCESS;
	if (name == NULL)
		return refuse("bridged mode without a name of an interface");
	struct search search = {name, false};
	setting_each_bridgeable(compare, &search);
	if (!search.found)
		return refuse("%s cannot be bridged", name);
	snprintf(parsed->bridge, sizeof parsed->bridge, "%s", name);
	return VMNET_SUCCESS;
}

static vmnet_return_t parse_host_address(xpc_object_t description, struct description *parsed)
{
	uint32_t address, mask;
	bool has_address = xpc_dictionary_get_value(description, vmnet_host_ip_address_key) != NULL;
	bool has_mask = xpc_dictionary_get_value(description, vmnet_host_subnet_mask_key) != NULL;
	bool has_ipv6 = xpc_dictionary_get_value(description, vmnet_host_ipv6_address_key) != NULL;
	if (!parsed->own_network && (has_address || has_mask || has_ipv6))
		return refuse("a host address without a network identifier");
	if (has_address != has_mask)
		return refuse("a host address and its mask come together");
	if (has_address && (!address_at(description, vmnet_host_ip_address_key, &address) ||
			    !address_at(description, vmnet_host_subnet_mask_key, &mask)))
		return refuse("a host address that is none");
	if (parsed->own_network && parsed->mask != 0)
		return refuse("an isolated network has no DHCP range");
	return VMNET_SUCCESS;
}

static vmnet_return_t parse_rest(xpc_object_t description, struct description *parsed)
{
	const uint8_t *id = xpc_dictionary_get_uuid(description, vmnet_interface_id_key);
	parsed->has_id = id != NULL;
	if (id != NULL)
		memcpy(parsed->id, id, sizeof parsed->id);
	parsed->own_network = xpc_dictionary_get_value(description, vmnet_network_identifier_key) != NULL;
	parsed->allocate_mac = xpc_dictionary_get_value(description, vmnet_allocate_mac_address_key) == NULL ||
			       xpc_dictionary_get_bool(description, vmnet_allocate_mac_address_key);
	parsed->tso = xpc_dictionary_get_bool(description, vmnet_enable_tso_key);
	parsed->isolation = xpc_dictionary_get_bool(description, vmnet_enable_isolation_key);
	parsed->checksum_offload = xpc_dictionary_get_bool(description, vmnet_enable_checksum_offload_key);
	parsed->virtio_header = xpc_dictionary_get_bool(description, vmnet_enable_virtio_header_key);
	if (parsed->virtio_header && parsed->checksum_offload)
		return refuse("the virtio header and checksum offload exclude each other");
	uint64_t mtu = xpc_dictionary_get_uint64(description, vmnet_mtu_key);
	if (xpc_dictionary_get_value(description, vmnet_mtu_key) != NULL && (mtu < 68 || mtu > 65521))
		return refuse("an MTU of %llu", (unsigned long long)mtu);
	parsed->mtu = mtu == 0 ? 1500 : (uint32_t)mtu;
	return VMNET_SUCCESS;
}

vmnet_return_t description_parse(xpc_object_t description, struct description *parsed)
{
	uint64_t mode = xpc_dictionary_get_uint64(description, vmnet_operation_mode_key);
	*parsed = (struct description){.mode = (vmnet_mode_t)mode};
	if (mode < VMNET_HOST_MODE || mode > VMNET_BRIDGED_MODE)
		return refuse("no operation mode, or not one of 1000, 1001, 1002 as uint64");
	vmnet_return_t status = check_keys(description, IN(mode));
	vmnet_return_t (*const steps[])(xpc_object_t, struct description *) = {
		parse_rest, parse_bridge, parse_addresses, parse_nat66, parse_host_address,
	};
	for (size_t i = 0; i < sizeof steps / sizeof *steps && status == VMNET_SUCCESS; i++)
		status = steps[i](description, parsed);
	return status;
}

vmnet_return_t description_parse_for_network(xpc_object_t description, struct description *parsed)
{
	*parsed = (struct description){0};
	vmnet_return_t status = check_keys(description, WITH_NETWORK);
	return status == VMNET_SUCCESS ? parse_rest(description, parsed) : status;
}
