/*
 * The network objects of macOS 26: a configuration that is filled in, a network made of it, interfaces started on that.
 * They are released with CFRelease.
 *
 * As reported from there: a subnet whose address ends in .0 is accepted, and every interface on it fails to start; the
 * gateway (.1) is what has to be given.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "dispatch.h"
#include "interface.h"

#define MAX_ENTRIES 64 /* DHCP reservations, port-forwarding rules; arbitrary */

struct settings_of_network {
	vmnet_mode_t mode;
	uint32_t gateway, mask; /* host byte order; 0: to be chosen */
	uint8_t prefix[16], prefix_length;
	uint32_t mtu;
	char external[64];
	bool no_nat44, no_nat66, no_dhcp, no_dns_proxy, no_router_advertisement;
	int reservations, rules;
};

struct vmnet_network_configuration {
	struct object object;
	struct settings_of_network settings;
};

struct vmnet_network {
	struct object object;
	struct settings_of_network settings;
};

void network_retain(vmnet_network_ref network)
{
	object_retain(network, "vmnet_interface_start_with_network");
}

void network_release(vmnet_network_ref network)
{
	if (object_release(network, "CFRelease"))
		object_bury(network);
}

const void *CFRetain(const void *object)
{
	object_retain((void *)(uintptr_t)object, "CFRetain");
	return object;
}

void CFRelease(const void *pointer)
{
	struct object *object = (struct object *)(uintptr_t)pointer;
	if (object == NULL)
		misuse("CFRelease: NULL is no object");
	if (object->kind != KIND_CONFIGURATION)
		object_check(object, KIND_NETWORK, "CFRelease");
	if (object_release(object, "CFRelease"))
		object_bury(object);
}

int network_describe(vmnet_network_ref network, char *buffer, size_t capacity)
{
	if (network == NULL)
		return snprintf(buffer, capacity, "null");
	const struct settings_of_network *settings = &network->settings;
	return snprintf(buffer, capacity,
			"{\"mode\": %u, \"mtu\": %u, \"external\": \"%s\", \"nat44\": %s, \"nat66\": %s, \"dhcp\": %s, "
			"\"dnsProxy\": %s, \"routerAdvertisement\": %s, \"reservations\": %d, \"rules\": %d}",
			settings->mode, settings->mtu, settings->external, settings->no_nat44 ? "false" : "true",
			settings->no_nat66 ? "false" : "true", settings->no_dhcp ? "false" : "true",
			settings->no_dns_proxy ? "false" : "true", settings->no_router_advertisement ? "false" : "true",
			settings->reservations, settings->rules);
}

#ifndef STANDIN_CLASSIC

static void *result(void *object, vmnet_return_t code, vmnet_return_t *status)
{
	if (status != NULL)
		*status = code;
	return object;
}

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode, vmnet_return_t *status)
{
	if (mode != VMNET_SHARED_MODE && mode != VMNET_HOST_MODE)
		return result(NULL, VMNET_INVALID_ARGUMENT, status);
	vmnet_network_configuration_ref configuration = object_new(KIND_CONFIGURATION, sizeof *configuration);
	configuration->settings.mode = mode;
	configuration->settings.mtu = 1500;
	return result(configuration, VMNET_SUCCESS, status);
}

static struct settings_of_network *settings_of(vmnet_network_configuration_ref configuration, const char *call)
{
	object_check(configuration, KIND_CONFIGURATION, call);
	return &configuration->settings;
}

vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref configuration,
								  const char *name)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	if (settings->mode != VMNET_SHARED_MODE || name == NULL || strlen(name) >= sizeof settings->external)
		return VMNET_INVALID_ARGUMENT;
	strcpy(settings->external, name);
	return VMNET_SUCCESS;
}

void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref configuration)
{
	settings_of(configuration, __func__)->no_nat44 = true;
}

void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref configuration)
{
	settings_of(configuration, __func__)->no_nat66 = true;
}

void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref configuration)
{
	settings_of(configuration, __func__)->no_dhcp = true;
}

void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref configuration)
{
	settings_of(configuration, __func__)->no_dns_proxy = true;
}

void vmnet_network_configuration_disable_router_advertisement(vmnet_network_configuration_ref configuration)
{
	settings_of(configuration, __func__)->no_router_advertisement = true;
}

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
							   const struct in_addr *subnet, const struct in_addr *mask)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	if (subnet == NULL || mask == NULL || !is_private(ntohl(subnet->s_addr)) || !is_contiguous(ntohl(mask->s_addr)))
		return VMNET_INVALID_ARGUMENT;
	settings->gateway = ntohl(subnet->s_addr);
	settings->mask = ntohl(mask->s_addr);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref configuration,
							   const struct in6_addr *prefix, uint8_t length)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	if (prefix == NULL || prefix->s6_addr[0] != 0xfd || length != 64)
		return VMNET_INVALID_ARGUMENT;
	memcpy(settings->prefix, prefix->s6_addr, sizeof settings->prefix);
	settings->prefix_length = length;
	return VMNET_SUCCESS;
}

/* The internal port comes first here, unlike in the rules of an interface. */
vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(vmnet_network_configuration_ref configuration,
								    uint8_t protocol, uint8_t family,
								    uint16_t internal_port, uint16_t external_port,
								    const void *internal_address)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	bool known = family == AF_INET || family == AF_INET6 || family == 30;
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || !known || internal_port == 0 || external_port == 0 ||
	    internal_address == NULL || settings->mode != VMNET_SHARED_MODE || settings->rules == MAX_ENTRIES)
		return VMNET_INVALID_ARGUMENT;
	settings->rules++;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
								const struct ether_addr *client,
								const struct in_addr *address)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	if (client == NULL || address == NULL || settings->reservations == MAX_ENTRIES ||
	    (settings->mask != 0 &&
	     (ntohl(address->s_addr) & settings->mask) != (settings->gateway & settings->mask)))
		return VMNET_INVALID_ARGUMENT;
	settings->reservations++;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	if (mtu < 68 || mtu > 65521)
		return VMNET_INVALID_ARGUMENT;
	settings->mtu = mtu;
	return VMNET_SUCCESS;
}

static _Atomic uint32_t next_network;

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status)
{
	struct settings_of_network *settings = settings_of(configuration, __func__);
	vmnet_return_t fault = (vmnet_return_t)setting(SETTING_NETWORK_STATUS);
	if (fault != 0)
		return result(NULL, fault, status);
	vmnet_network_ref network = object_new(KIND_NETWORK, sizeof *network);
	network->settings = *settings;
	if (network->settings.mask == 0) {
		uint32_t first = settings->mode == VMNET_SHARED_MODE ? 64 : 128;
		network->settings.mask = 0xffffff00;
		network->settings.gateway = 192u << 24 | 168u << 16 | (first + next_network++ % 64) << 8 | 1;
	}
	if (network->settings.prefix_length == 0) {
		network->settings.prefix[0] = 0xfd;
		network->settings.prefix[7] = (uint8_t)next_network;
		network->settings.prefix_length = 64;
	}
	return result(network, VMNET_SUCCESS, status);
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask)
{
	object_check(network, KIND_NETWORK, __func__);
	subnet->s_addr = htonl(network->settings.gateway);
	mask->s_addr = htonl(network->settings.mask);
}

void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length)
{
	object_check(network, KIND_NETWORK, __func__);
	memcpy(prefix->s6_addr, network->settings.prefix, sizeof prefix->s6_addr);
	*length = network->settings.prefix_length;
}

/* The serialization names the network within this process, for as long as it exists. */
xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref network, vmnet_return_t *status)
{
	object_check(network, KIND_NETWORK, __func__);
	xpc_object_t serialization = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(serialization, "network", (uint64_t)(uintptr_t)network);
	return result(serialization, VMNET_SUCCESS, status);
}

vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t serialization, vmnet_return_t *status)
{
	object_check(serialization, KIND_XPC, __func__);
	vmnet_network_ref network =
		(vmnet_network_ref)(uintptr_t)xpc_dictionary_get_uint64(serialization, "network");
	if (network == NULL)
		return result(NULL, VMNET_INVALID_ARGUMENT, status);
	network_retain(network);
	return result(network, VMNET_SUCCESS, status);
}

struct failed_start {
	void *block;
	vmnet_return_t status;
};

static void call_failed_start(void *context)
{
	struct failed_start *failed = context;
	((vmnet_start_handler_t)failed->block)(failed->status, NULL);
	block_drop(failed->block);
	free(failed);
}

static void fail_start(dispatch_queue_t queue, vmnet_start_handler_t handler, vmnet_return_t status, const char *call)
{
	struct failed_start *failed = malloc(sizeof *failed);
	if (failed == NULL)
		misuse("out of memory");
	*failed = (struct failed_start){block_keep(handler, call), status};
	queue_post(queue, call_failed_start, failed);
}

interface_ref vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t xpc, dispatch_queue_t queue,
						 vmnet_start_handler_t handler)
{
	object_check(network, KIND_NETWORK, __func__);
	object_check(xpc, KIND_XPC, __func__);
	queue_check(queue, __func__);
	block_check(handler, __func__);
	const struct settings_of_network *settings = &network->settings;
	struct description description;
	vmnet_return_t status = description_parse_for_network(xpc, &description);
	if (status == VMNET_SUCCESS && (settings->gateway & ~settings->mask) == 0)
		status = VMNET_FAILURE;
	description.mode = settings->mode;
	description.mtu = settings->mtu;
	description.allocate_mac = true; /* reported: macOS 26.2 allocates one whatever is asked for */
	description.start = settings->gateway;
	description.end = (settings->gateway | ~settings->mask) - 1;
	description.mask = settings->mask;
	int null = setting(SETTING_START_NULL);
	if (null != 0)
		status = VMNET_FAILURE;
	interface_ref interface =
		status == VMNET_SUCCESS ? interface_start(&description, network, queue, handler) : NULL;
	if (interface == NULL && null != 2)
		fail_start(queue, handler, status == VMNET_SUCCESS ? VMNET_FAILURE : status, __func__);
	return interface;
}

#endif
