/*
 * Port-forwarding rules of a shared interface. They are kept and listed, nothing is forwarded: the namespace behind the
 * stand-in has no NAT of vmnet's. A rule as the caller sees it is an XPC object to be asked for its details.
 *
 * A completion is called on the queue the interface was started with.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "dispatch.h"
#include "interface.h"

#define MAC_AF_INET6 30

static size_t address_size(uint8_t family)
{
	if (family == AF_INET)
		return 4;
	return family == AF_INET6 || family == MAC_AF_INET6 ? 16 : 0;
}

static bool valid(interface_ref interface, uint8_t protocol, uint16_t port, uint8_t family)
{
	return interface->description.mode == VMNET_SHARED_MODE && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) &&
	       port != 0 && address_size(family) != 0;
}

static struct rule **find(interface_ref interface, uint8_t protocol, uint16_t port, uint8_t family)
{
	struct rule **place = &interface->rules;
	while (*place != NULL && ((*place)->protocol != protocol || (*place)->external_port != port ||
				  address_size((*place)->family) != address_size(family)))
		place = &(*place)->next;
	return place;
}

static vmnet_return_t answer(interface_ref interface, vmnet_return_t status, vmnet_completion_t handler, const char *call)
{
	int fault = setting(SETTING_RULE_STATUS);
	if (handler != NULL)
		complete_on(interface->queue, block_keep(handler, call), fault == 0 ? status : (vmnet_return_t)fault);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol, uint16_t external_port,
							   uint8_t family, const void *internal_address,
							   uint16_t internal_port, vmnet_completion_t handler)
{
	static const char call[] = "vmnet_interface_add_ip_port_forwarding_rule";
	interface_check(interface, call);
	if (!valid(interface, protocol, external_port, family) || internal_address == NULL || internal_port == 0)
		return VMNET_INVALID_ARGUMENT;
	pthread_mutex_lock(&interface->lock);
	struct rule **place = find(interface, protocol, external_port, family);
	bool taken = *place != NULL;
	if (!taken) {
		struct rule *rule = calloc(1, sizeof *rule);
		if (rule == NULL)
			misuse("out of memory");
		*rule = (struct rule){.protocol = protocol,
				      .family = family,
				      .external_port = external_port,
				      .internal_port = internal_port};
		memcpy(rule->internal_address, internal_address, address_size(family));
		*place = rule;
	}
	pthread_mutex_unlock(&interface->lock);
	return answer(interface, taken ? VMNET_FAILURE : VMNET_SUCCESS, handler, call);
}

vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
							      uint16_t external_port, uint8_t family,
							      vmnet_completion_t handler)
{
	static const char call[] = "vmnet_interface_remove_ip_port_forwarding_rule";
	interface_check(interface, call);
	if (!valid(interface, protocol, external_port, family))
		return VMNET_INVALID_ARGUMENT;
	pthread_mutex_lock(&interface->lock);
	struct rule **place = find(interface, protocol, external_port, family), *rule = *place;
	if (rule != NULL)
		*place = rule->next;
	pthread_mutex_unlock(&interface->lock);
	vmnet_return_t status = rule == NULL ? VMNET_FAILURE : VMNET_SUCCESS;
	free(rule);
	return answer(interface, status, handler, call);
}

static xpc_object_t rule_object(const struct rule *rule)
{
	char address[INET6_ADDRSTRLEN];
	bool v4 = address_size(rule->family) == 4;
	xpc_object_t object = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(object, "protocol", rule->protocol);
	xpc_dictionary_set_uint64(object, "external port", rule->external_port);
	xpc_dictionary_set_uint64(object, "internal port", rule->internal_port);
	xpc_dictionary_set_string(object, v4 ? "IPv4" : "IPv6",
				  inet_ntop(v4 ? AF_INET : AF_INET6, rule->internal_address, address, sizeof address));
	return object;
}

struct listing {
	void *block;
	xpc_object_t rules;
};

static void call_rules_handler(void *context)
{
	struct listing *listing = context;
	block_check(listing->block, "the handler of the rules");
	((vmnet_rules_handler_t)listing->block)(listing->rules);
	if (listing->rules != NULL)
		xpc_release(listing->rules);
	block_drop(listing->block);
	free(listing);
}

vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(interface_ref interface, uint8_t family,
							    vmnet_rules_handler_t handler)
{
	static const char call[] = "vmnet_interface_get_ip_port_forwarding_rules";
	interface_check(interface, call);
	if (interface->description.mode != VMNET_SHARED_MODE || address_size(family) == 0)
		return VMNET_INVALID_ARGUMENT;
	struct listing *listing = calloc(1, sizeof *listing);
	if (listing == NULL)
		misuse("out of memory");
	listing->block = block_keep(handler, call);
	pthread_mutex_lock(&interface->lock);
	for (struct rule *rule = interface->rules; rule != NULL; rule = rule->next) {
		if (address_size(rule->family) != address_size(family))
			continue;
		if (listing->rules == NULL)
			listing->rules = xpc_array_create_empty();
		xpc_object_t object = rule_object(rule);
		xpc_array_append_value(listing->rules, object);
		xpc_release(object);
	}
	pthread_mutex_unlock(&interface->lock);
	queue_post(interface->queue, call_rules_handler, listing);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
							 uint8_t family, void *internal_address, uint16_t *internal_port)
{
	bool v4 = address_size(family) == 4;
	const char *address = xpc_dictionary_get_string(rule, v4 ? "IPv4" : "IPv6");
	if (address == NULL || inet_pton(v4 ? AF_INET : AF_INET6, address, internal_address) != 1)
		return VMNET_INVALID_ARGUMENT;
	*protocol = (uint8_t)xpc_dictionary_get_uint64(rule, "protocol");
	*external_port = (uint16_t)xpc_dictionary_get_uint64(rule, "external port");
	*internal_port = (uint16_t)xpc_dictionary_get_uint64(rule, "internal port");
	return VMNET_SUCCESS;
}

void rules_free(interface_ref interface)
{
	for (struct rule *rule = interface->rules, *next; rule != NULL; rule = next) {
		next = rule->next;
		free(rule);
	}
	interface->rules = NULL;
}

/* The calls of macOS 10.15, deprecated in 12: the same for IPv4. */

vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref interface, uint8_t protocol, uint16_t external_port,
							struct in_addr internal_address, uint16_t internal_port,
							vmnet_completion_t handler)
{
	return vmnet_interface_add_ip_port_forwarding_rule(interface, protocol, external_port, AF_INET, &internal_address,
							   internal_port, handler);
}

vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref interface, uint8_t protocol,
							   uint16_t external_port, vmnet_completion_t handler)
{
	return vmnet_interface_remove_ip_port_forwarding_rule(interface, protocol, external_port, AF_INET, handler);
}

vmnet_return_t vmnet_interface_get_port_forwarding_rules(interface_ref interface, vmnet_rules_handler_t handler)
{
	return vmnet_interface_get_ip_port_forwarding_rules(interface, AF_INET, handler);
}

vmnet_return_t vmnet_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
						      struct in_addr *internal_address, uint16_t *internal_port)
{
	return vmnet_ip_port_forwarding_rule_get_details(rule, protocol, external_port, AF_INET, internal_address,
							 internal_port);
}
