#include "checks.h"

#include <arpa/inet.h>

static vmnet_return_t wait_for(vmnet_return_t (^call)(vmnet_completion_t))
{
	dispatch_semaphore_t done = dispatch_semaphore_create(0);
	__block vmnet_return_t result = 0;
	vmnet_return_t accepted = call(^(vmnet_return_t status) {
	  result = status;
	  dispatch_semaphore_signal(done);
	});
	if (accepted == VMNET_SUCCESS)
		dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
	dispatch_release((dispatch_object_t)done);
	return accepted == VMNET_SUCCESS ? result : accepted;
}

static vmnet_return_t add(interface_ref interface, uint16_t external, const char *address, uint16_t internal)
{
	struct in_addr parsed;
	CHECK(inet_pton(AF_INET, address, &parsed) == 1);
	return wait_for(^vmnet_return_t(vmnet_completion_t handler) {
	  return vmnet_interface_add_ip_port_forwarding_rule(interface, IPPROTO_TCP, external, AF_INET, &parsed, internal,
							     handler);
	});
}

static vmnet_return_t take_away(interface_ref interface, uint16_t external)
{
	return wait_for(^vmnet_return_t(vmnet_completion_t handler) {
	  return vmnet_interface_remove_ip_port_forwarding_rule(interface, IPPROTO_TCP, external, AF_INET, handler);
	});
}

static size_t list(interface_ref interface, uint8_t family, void (^each)(xpc_object_t rule))
{
	dispatch_semaphore_t done = dispatch_semaphore_create(0);
	__block size_t count = 0;
	EQUAL(vmnet_interface_get_ip_port_forwarding_rules(interface, family, ^(xpc_object_t rules) {
		if (rules != NULL)
			xpc_array_apply(rules, ^bool(size_t index, xpc_object_t rule) {
			  (void)index;
			  each(rule);
			  count++;
			  return true;
			});
		dispatch_semaphore_signal(done);
	      }),
	      VMNET_SUCCESS);
	dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
	dispatch_release((dispatch_object_t)done);
	return count;
}

static void added_listed_removed(void)
{
	struct started started = start_shared();
	EQUAL(add(started.interface, 2222, "192.168.64.2", 22), VMNET_SUCCESS);
	EQUAL(add(started.interface, 2222, "192.168.64.3", 22), VMNET_FAILURE);
	EQUAL(list(started.interface, AF_INET,
		   ^(xpc_object_t rule) {
		     uint8_t protocol;
		     uint16_t external, internal;
		     struct in_addr address;
		     EQUAL(vmnet_ip_port_forwarding_rule_get_details(rule, &protocol, &external, AF_INET, &address,
								     &internal),
			   VMNET_SUCCESS);
		     EQUAL(protocol, IPPROTO_TCP);
		     EQUAL(external, 2222);
		     EQUAL(internal, 22);
		     EQUAL(ntohl(address.s_addr), 0xc0a84002);
		   }),
	      1);
	void (^ignore)(xpc_object_t) = ^(xpc_object_t rule) {
	  (void)rule;
	};
	EQUAL(list(started.interface, AF_INET6, ignore), 0);
	EQUAL(list(started.interface, 30, ignore), 0);
	EQUAL(take_away(started.interface, 2222), VMNET_SUCCESS);
	EQUAL(take_away(started.interface, 2222), VMNET_FAILURE);
	EQUAL(list(started.interface, AF_INET, ignore), 0);
	EQUAL(add(started.interface, 8080, "192.168.64.2", 80), VMNET_SUCCESS); /* left to the stop */
	stop(&started);
}

static void wrong_arguments(void)
{
	struct started started = start_shared();
	EQUAL(add(started.interface, 0, "192.168.64.2", 22), VMNET_INVALID_ARGUMENT);
	EQUAL(add(started.interface, 2222, "192.168.64.2", 0), VMNET_INVALID_ARGUMENT);
	standin_control("rule-status 1001 1");
	EQUAL(add(started.interface, 2222, "192.168.64.2", 22), VMNET_FAILURE);
	stop(&started);
	started = start(description(VMNET_HOST_MODE));
	EQUAL(add(started.interface, 2222, "192.168.128.2", 22), VMNET_INVALID_ARGUMENT);
	stop(&started);
}

const struct check rule_checks[] = {
	{"port-forwarding rules are added, listed and removed", added_listed_removed},
	{"wrong arguments of a port-forwarding rule", wrong_arguments},
	{NULL, NULL},
};
