#include "checks.h"

#include <arpa/inet.h>
#include <string.h>

static struct in_addr address_of(const char *text)
{
	struct in_addr address;
	CHECK(inet_pton(AF_INET, text, &address) == 1);
	return address;
}

static struct started start_on(vmnet_network_ref network, xpc_object_t wanted)
{
	__block struct started started = {.queue = dispatch_queue_create("network", NULL)};
	dispatch_semaphore_t done = dispatch_semaphore_create(0);
	interface_ref interface = vmnet_interface_start_with_network(
		network, wanted, started.queue, ^(vmnet_return_t status, xpc_object_t parameters) {
		  started.status = status;
		  started.parameters = parameters == NULL ? NULL : xpc_retain(parameters);
		  dispatch_semaphore_signal(done);
		});
	dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
	dispatch_release((dispatch_object_t)done);
	started.interface = interface;
	xpc_release(wanted);
	return started;
}

static vmnet_network_ref network_at(const char *subnet)
{
	vmnet_return_t status = 0;
	vmnet_network_configuration_ref configuration = vmnet_network_configuration_create(VMNET_SHARED_MODE, &status);
	EQUAL(status, VMNET_SUCCESS);
	struct in_addr address = address_of(subnet), mask = address_of("255.255.255.0");
	EQUAL(vmnet_network_configuration_set_ipv4_subnet(configuration, &address, &mask), VMNET_SUCCESS);
	EQUAL(vmnet_network_configuration_set_mtu(configuration, 9000), VMNET_SUCCESS);
	EQUAL(vmnet_network_configuration_set_external_interface(configuration, "en0"), VMNET_SUCCESS);
	struct ether_addr client = {{2, 0, 0, 0, 0, 1}};
	struct in_addr inside = address_of("10.8.0.9"), outside = address_of("10.9.0.9");
	EQUAL(vmnet_network_configuration_add_dhcp_reservation(configuration, &client, &inside), VMNET_SUCCESS);
	EQUAL(vmnet_network_configuration_add_dhcp_reservation(configuration, &client, &outside), VMNET_INVALID_ARGUMENT);
	EQUAL(vmnet_network_configuration_add_port_forwarding_rule(configuration, IPPROTO_TCP, AF_INET, 22, 2222, &inside),
	      VMNET_SUCCESS);
	vmnet_network_configuration_disable_dhcp(configuration);
	vmnet_network_ref network = vmnet_network_create(configuration, &status);
	EQUAL(status, VMNET_SUCCESS);
	CFRelease(configuration);
	return network;
}

static void configured(void)
{
	vmnet_network_ref network = network_at("10.8.0.1");
	struct in_addr subnet, mask;
	vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
	EQUAL(ntohl(subnet.s_addr), 0x0a080001);
	EQUAL(ntohl(mask.s_addr), 0xffffff00);
	struct in6_addr prefix;
	uint8_t length = 0;
	vmnet_network_get_ipv6_prefix(network, &prefix, &length);
	EQUAL(length, 64);
	EQUAL(prefix.s6_addr[0], 0xfd);

	struct started started = start_on(network, xpc_dictionary_create_empty());
	EQUAL(started.status, VMNET_SUCCESS);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_max_packet_size_key), 9014);
	CHECK(strcmp(xpc_dictionary_get_string(started.parameters, vmnet_start_address_key), "10.8.0.1") == 0);
	char text[1024];
	CHECK(standin_describe(0, text, sizeof text) > 0);
	CHECK(strstr(text, "\"dhcp\": false") != NULL && strstr(text, "\"reservations\": 1") != NULL);
	CFRelease(network); /* the interface holds it */
	EQUAL(standin_live("network"), 1);
	stop(&started);
}

static void the_zeroth_address_fails_late(void)
{
	vmnet_network_ref network = network_at("10.8.0.0");
	struct started started = start_on(network, xpc_dictionary_create_empty());
	EQUAL(started.status, VMNET_FAILURE);
	stop(&started);
	CFRelease(network);
}

static void only_some_keys(void)
{
	vmnet_network_ref network = network_at("10.8.0.1");
	struct started started = start_on(network, description(VMNET_SHARED_MODE));
	EQUAL(started.status, VMNET_INVALID_ARGUMENT);
	stop(&started);
	CFRelease(network);
}

static void failures(void)
{
	vmnet_return_t status = 0;
	CHECK(vmnet_network_configuration_create(VMNET_BRIDGED_MODE, &status) == NULL);
	EQUAL(status, VMNET_INVALID_ARGUMENT);
	vmnet_network_configuration_ref configuration = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
	EQUAL(vmnet_network_configuration_set_external_interface(configuration, "en0"), VMNET_INVALID_ARGUMENT);
	struct in_addr address = address_of("8.8.8.8"), mask = address_of("255.255.255.0");
	EQUAL(vmnet_network_configuration_set_ipv4_subnet(configuration, &address, &mask), VMNET_INVALID_ARGUMENT);
	standin_control("network-status 1002 1");
	CHECK(vmnet_network_create(configuration, &status) == NULL);
	EQUAL(status, VMNET_MEM_FAILURE);
	CFRelease(configuration);
}

static void serialized(void)
{
	vmnet_network_ref network = network_at("10.8.0.1");
	xpc_object_t serialization = vmnet_network_copy_serialization(network, NULL);
	vmnet_return_t status;
	vmnet_network_ref again = vmnet_network_create_with_serialization(serialization, &status);
	EQUAL(status, VMNET_SUCCESS);
	xpc_release(serialization);
	CFRelease(network);
	CFRelease(again);
}

const struct check network_checks[] = {
	{"a network as it was configured", configured},
	{"a subnet given as .0 fails when an interface starts", the_zeroth_address_fails_late},
	{"few keys mean something on a network", only_some_keys},
	{"wrong arguments of a network", failures},
	{"a network from its serialization", serialized},
	{NULL, NULL},
};
