/*
 * What vmnet.framework, libxpc, libdispatch, CoreFoundation and the blocks runtime export on macOS, as far as a user of
 * vmnet meets it: the names, types and numbers of the headers of macOS SDK 26.1. A program that calls through these
 * declarations calls the same ABI there and here.
 */
#ifndef APPLE_H
#define APPLE_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define EXPORT __attribute__((visibility("default")))

/* XPC: https://developer.apple.com/documentation/xpc */

typedef struct xpc_object *xpc_object_t;
typedef const struct _xpc_type_s *xpc_type_t;
typedef unsigned char xpc_uuid_t[16];
typedef bool (^xpc_dictionary_applier_t)(const char *key, xpc_object_t value);
typedef bool (^xpc_array_applier_t)(size_t index, xpc_object_t value);

struct _xpc_type_s {
	const char *name;
};

extern EXPORT const struct _xpc_type_s _xpc_type_array, _xpc_type_bool, _xpc_type_dictionary, _xpc_type_int64,
	_xpc_type_string, _xpc_type_uint64, _xpc_type_uuid;
extern EXPORT struct xpc_object _xpc_bool_true, _xpc_bool_false;

EXPORT xpc_object_t xpc_retain(xpc_object_t object);
EXPORT void xpc_release(xpc_object_t object);
EXPORT xpc_type_t xpc_get_type(xpc_object_t object);
EXPORT const char *xpc_type_get_name(xpc_type_t type);
EXPORT bool xpc_equal(xpc_object_t a, xpc_object_t b);
EXPORT char *xpc_copy_description(xpc_object_t object);

EXPORT xpc_object_t xpc_bool_create(bool value);
EXPORT bool xpc_bool_get_value(xpc_object_t object);
EXPORT xpc_object_t xpc_int64_create(int64_t value);
EXPORT int64_t xpc_int64_get_value(xpc_object_t object);
EXPORT xpc_object_t xpc_uint64_create(uint64_t value);
EXPORT uint64_t xpc_uint64_get_value(xpc_object_t object);
EXPORT xpc_object_t xpc_string_create(const char *string);
EXPORT size_t xpc_string_get_length(xpc_object_t object);
EXPORT const char *xpc_string_get_string_ptr(xpc_object_t object);
EXPORT xpc_object_t xpc_uuid_create(const xpc_uuid_t uuid);
EXPORT const uint8_t *xpc_uuid_get_bytes(xpc_object_t object);

EXPORT xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count);
EXPORT xpc_object_t xpc_dictionary_create_empty(void);
EXPORT size_t xpc_dictionary_get_count(xpc_object_t dictionary);
EXPORT bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier);
EXPORT xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value);
EXPORT bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value);
EXPORT int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value);
EXPORT uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value);
EXPORT const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *string);
EXPORT const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key);
EXPORT void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const xpc_uuid_t uuid);

EXPORT xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count);
EXPORT xpc_object_t xpc_array_create_empty(void);
EXPORT size_t xpc_array_get_count(xpc_object_t array);
EXPORT bool xpc_array_apply(xpc_object_t array, xpc_array_applier_t applier);
EXPORT xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index);
EXPORT void xpc_array_append_value(xpc_object_t array, xpc_object_t value);
EXPORT const char *xpc_array_get_string(xpc_object_t array, size_t index);
EXPORT uint64_t xpc_array_get_uint64(xpc_object_t array, size_t index);

/* Dispatch: https://developer.apple.com/documentation/dispatch */

typedef struct dispatch_object *dispatch_object_t;
typedef struct dispatch_queue *dispatch_queue_t;
typedef struct dispatch_semaphore *dispatch_semaphore_t;
typedef uint64_t dispatch_time_t; /* Not plain nanoseconds: made by dispatch_time(). */
typedef void (^dispatch_block_t)(void);
typedef void (*dispatch_function_t)(void *context);

#define DISPATCH_TIME_NOW 0ull
#define DISPATCH_TIME_FOREVER (~0ull)

EXPORT dispatch_queue_t dispatch_queue_create(const char *label, void *attributes);
EXPORT const char *dispatch_queue_get_label(dispatch_queue_t queue);
EXPORT void dispatch_retain(dispatch_object_t object);
EXPORT void dispatch_release(dispatch_object_t object);
EXPORT void dispatch_async(dispatch_queue_t queue, dispatch_block_t block);
EXPORT void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t function);
EXPORT void dispatch_sync(dispatch_queue_t queue, dispatch_block_t block);
EXPORT void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t function);
EXPORT dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta_ns);
EXPORT dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);
EXPORT intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore);
EXPORT intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout);

/* CoreFoundation: the network objects of macOS 26 are released as its objects are. */

EXPORT const void *CFRetain(const void *object);
EXPORT void CFRelease(const void *object);

/* vmnet: https://developer.apple.com/documentation/vmnet */

typedef struct vmnet_interface *interface_ref;
typedef struct vmnet_network *vmnet_network_ref;
typedef struct vmnet_network_configuration *vmnet_network_configuration_ref;
typedef uint32_t vmnet_return_t;
typedef uint32_t vmnet_mode_t;
typedef uint32_t interface_event_t;

enum { VMNET_HOST_MODE = 1000, VMNET_SHARED_MODE = 1001, VMNET_BRIDGED_MODE = 1002 };
enum { VMNET_INTERFACE_PACKETS_AVAILABLE = 1 << 0 };
enum {
	VMNET_SUCCESS = 1000,
	VMNET_FAILURE = 1001,
	VMNET_MEM_FAILURE = 1002,
	VMNET_INVALID_ARGUMENT = 1003,
	VMNET_SETUP_INCOMPLETE = 1004,
	VMNET_INVALID_ACCESS = 1005,
	VMNET_PACKET_TOO_BIG = 1006,
	VMNET_BUFFER_EXHAUSTED = 1007,
	VMNET_TOO_MANY_PACKETS = 1008,
	VMNET_SHARING_SERVICE_BUSY = 1009,
	VMNET_NOT_AUTHORIZED = 1010,
};

struct vmpktdesc {
	size_t vm_pkt_size;
	struct iovec *vm_pkt_iov;
	uint32_t vm_pkt_iovcnt;
	uint32_t vm_flags;
};
_Static_assert(sizeof(struct vmpktdesc) == 24, "the layout of an LP64 Mac");

typedef void (^vmnet_start_handler_t)(vmnet_return_t status, xpc_object_t parameters);
typedef void (^vmnet_completion_t)(vmnet_return_t status);
typedef void (^vmnet_event_callback_t)(interface_event_t mask, xpc_object_t event);
typedef void (^vmnet_rules_handler_t)(xpc_object_t rules);

extern EXPORT const char *const vmnet_operation_mode_key, *const vmnet_interface_id_key, *const vmnet_mac_address_key,
	*const vmnet_mtu_key, *const vmnet_max_packet_size_key, *const vmnet_estimated_packets_available_key,
	*const vmnet_allocate_mac_address_key, *const vmnet_shared_interface_name_key, *const vmnet_start_address_key,
	*const vmnet_end_address_key, *const vmnet_subnet_mask_key, *const vmnet_nat66_prefix_key,
	*const vmnet_nat66_prefix_length_key, *const vmnet_network_identifier_key, *const vmnet_host_ip_address_key,
	*const vmnet_host_subnet_mask_key, *const vmnet_host_ipv6_address_key, *const vmnet_enable_tso_key,
	*const vmnet_enable_isolation_key, *const vmnet_enable_checksum_offload_key, *const vmnet_read_max_packets_key,
	*const vmnet_write_max_packets_key, *const vmnet_enable_virtio_header_key;

EXPORT interface_ref vmnet_start_interface(xpc_object_t description, dispatch_queue_t queue,
					   vmnet_start_handler_t handler);
EXPORT vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue,
					   vmnet_completion_t handler);
EXPORT vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
							 dispatch_queue_t queue, vmnet_event_callback_t callback);
EXPORT vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *count);
EXPORT vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *count);
EXPORT xpc_object_t vmnet_copy_shared_interface_list(void);

/* Ports are in host byte order, addresses in network byte order. */
EXPORT vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref interface, uint8_t protocol,
							       uint16_t external_port,
							       struct in_addr internal_address,
							       uint16_t internal_port, vmnet_completion_t handler);
EXPORT vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref interface, uint8_t protocol,
								  uint16_t external_port,
								  vmnet_completion_t handler);
EXPORT vmnet_return_t vmnet_interface_get_port_forwarding_rules(interface_ref interface,
								vmnet_rules_handler_t handler);
EXPORT vmnet_return_t vmnet_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol,
							     uint16_t *external_port,
							     struct in_addr *internal_address,
							     uint16_t *internal_port);
EXPORT vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
								  uint16_t external_port, uint8_t address_family,
								  const void *internal_address,
								  uint16_t internal_port, vmnet_completion_t handler);
EXPORT vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
								     uint16_t external_port, uint8_t address_family,
								     vmnet_completion_t handler);
EXPORT vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(interface_ref interface, uint8_t address_family,
								   vmnet_rules_handler_t handler);
EXPORT vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol,
								uint16_t *external_port, uint8_t address_family,
								void *internal_address, uint16_t *internal_port);

/* macOS 26; absent from the variant of the library that stands for an older system. */
#ifndef STANDIN_CLASSIC
EXPORT vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode, vmnet_return_t *status);
EXPORT vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref configuration,
									 const char *name);
EXPORT void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref configuration);
EXPORT void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref configuration);
EXPORT void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref configuration);
EXPORT void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref configuration);
EXPORT void vmnet_network_configuration_disable_router_advertisement(vmnet_network_configuration_ref configuration);
EXPORT vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
								  const struct in_addr *subnet,
								  const struct in_addr *mask);
EXPORT vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref configuration,
								  const struct in6_addr *prefix, uint8_t length);
EXPORT vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
	vmnet_network_configuration_ref configuration, uint8_t protocol, uint8_t address_family, uint16_t internal_port,
	uint16_t external_port, const void *internal_address);
EXPORT vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
								       const struct ether_addr *client,
								       const struct in_addr *address);
EXPORT vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu);
EXPORT vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status);
EXPORT void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask);
EXPORT void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length);
EXPORT xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref network, vmnet_return_t *status);
EXPORT vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t serialization, vmnet_return_t *status);
EXPORT interface_ref vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t description,
							dispatch_queue_t queue, vmnet_start_handler_t handler);
#endif

#endif
