#include "checks.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const xpc_uuid_t uuid = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6};

static const char *string_of(const struct started *started, const char *key)
{
	const char *text = xpc_dictionary_get_string(started->parameters, key);
	return text == NULL ? "" : text;
}

static void shared(void)
{
	struct started started = start_shared();
	CHECK(started.interface != NULL);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_mtu_key), 1500);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_max_packet_size_key), 1514);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_read_max_packets_key), 256);
	EQUAL(xpc_dictionary_get_uint64(started.parameters, vmnet_write_max_packets_key), 256);
	EQUAL(strlen(string_of(&started, vmnet_mac_address_key)), 17);
	CHECK(strcmp(string_of(&started, vmnet_start_address_key), "192.168.64.1") == 0);
	CHECK(strcmp(string_of(&started, vmnet_end_address_key), "192.168.64.254") == 0);
	CHECK(strcmp(string_of(&started, vmnet_subnet_mask_key), "255.255.255.0") == 0);
	CHECK(xpc_dictionary_get_uuid(started.parameters, vmnet_interface_id_key) != NULL);
	stop(&started);
}

static void bridged(void)
{
	xpc_object_t wanted = description(VMNET_BRIDGED_MODE);
	xpc_dictionary_set_string(wanted, vmnet_shared_interface_name_key, "en1");
	struct started started = start(wanted);
	EQUAL(started.status, VMNET_SUCCESS);
	CHECK(xpc_dictionary_get_value(started.parameters, vmnet_start_address_key) == NULL);
	CHECK(xpc_dictionary_get_value(started.parameters, vmnet_mac_address_key) != NULL);
	char text[1024];
	CHECK(standin_describe(0, text, sizeof text) > 0);
	CHECK(strstr(text, "\"mode\": 1002") != NULL && strstr(text, "\"bridge\": \"en1\"") != NULL);
	stop(&started);
}

static void same_identifier_same_mac(void)
{
	char macs[2][18];
	for (int i = 0; i < 2; i++) {
		xpc_object_t wanted = description(VMNET_SHARED_MODE);
		xpc_dictionary_set_uuid(wanted, vmnet_interface_id_key, uuid);
		struct started started = start(wanted);
		snprintf(macs[i], sizeof macs[i], "%s", string_of(&started, vmnet_mac_address_key));
		CHECK(memcmp(xpc_dictionary_get_uuid(started.parameters, vmnet_interface_id_key), uuid, 16) == 0);
		stop(&started);
	}
	CHECK(strcmp(macs[0], macs[1]) == 0);
}

static void isolated_host(void)
{
	xpc_object_t wanted = description(VMNET_HOST_MODE);
	xpc_dictionary_set_uuid(wanted, vmnet_network_identifier_key, uuid);
	xpc_dictionary_set_bool(wanted, vmnet_enable_isolation_key, true);
	xpc_dictionary_set_bool(wanted, vmnet_allocate_mac_address_key, false);
	struct started started = start(wanted);
	EQUAL(started.status, VMNET_SUCCESS);
	CHECK(xpc_dictionary_get_value(started.parameters, vmnet_start_address_key) == NULL);
	CHECK(xpc_dictionary_get_value(started.parameters, vmnet_mac_address_key) == NULL);
	stop(&started);
}

static void sizes(void)
{
	xpc_object_t jumbo = description(VMNET_HOST_MODE), offloaded = description(VMNET_HOST_MODE);
	xpc_dictionary_set_uint64(jumbo, vmnet_mtu_key, 9000);
	xpc_dictionary_set_bool(offloaded, vmnet_enable_tso_key, true);
	struct started a = start(jumbo), b = start(offloaded);
	EQUAL(xpc_dictionary_get_uint64(a.parameters, vmnet_max_packet_size_key), 9014);
	EQUAL(xpc_dictionary_get_uint64(b.parameters, vmnet_max_packet_size_key), 65550);
	stop(&a);
	stop(&b);
}

static void as_before_macos_15(void)
{
	standin_control("report-limits 0");
	struct started started = start_shared();
	CHECK(xpc_dictionary_get_value(started.parameters, vmnet_read_max_packets_key) == NULL);
	stop(&started);
}

static void refused(xpc_object_t wanted)
{
	struct started started = start(wanted);
	EQUAL(started.status, VMNET_INVALID_ARGUMENT);
	CHECK(started.interface == NULL && started.parameters == NULL);
	stop(&started);
}

/* A description of shared mode with one string added, or of host mode. */
static xpc_object_t with(vmnet_mode_t mode, const char *key, const char *text)
{
	xpc_object_t wanted = description(mode);
	xpc_dictionary_set_string(wanted, key, text);
	return wanted;
}

static xpc_object_t addresses(const char *first, const char *last, const char *mask)
{
	xpc_object_t wanted = with(VMNET_SHARED_MODE, vmnet_start_address_key, first);
	xpc_dictionary_set_string(wanted, vmnet_end_address_key, last);
	xpc_dictionary_set_string(wanted, vmnet_subnet_mask_key, mask);
	return wanted;
}

static void refused_descriptions(void)
{
	refused(xpc_dictionary_create_empty());
	refused(description(999));
	refused(with(VMNET_SHARED_MODE, vmnet_operation_mode_key, "1001"));
	refused(description(VMNET_BRIDGED_MODE));
	refused(with(VMNET_BRIDGED_MODE, vmnet_shared_interface_name_key, "en9"));
	refused(with(VMNET_SHARED_MODE, vmnet_shared_interface_name_key, "en0"));
	refused(with(VMNET_SHARED_MODE, "vmnet_dhcp_range", "192.168.64.1"));
	refused(with(VMNET_SHARED_MODE, vmnet_start_address_key, "192.168.64.1"));
	refused(with(VMNET_SHARED_MODE, vmnet_interface_id_key, "a string, not a uuid"));
	refused(with(VMNET_HOST_MODE, vmnet_host_ip_address_key, "192.168.128.1"));
	refused(with(VMNET_HOST_MODE, vmnet_nat66_prefix_key, "fd00:1234::"));
	refused(with(VMNET_SHARED_MODE, vmnet_nat66_prefix_key, "2001:db8::"));
	refused(addresses("8.8.8.8", "8.8.8.9", "255.255.255.0"));
	refused(addresses("10.0.0.1", "10.0.1.2", "255.255.255.0"));
	refused(addresses("10.0.0.9", "10.0.0.2", "255.255.255.0"));
	refused(addresses("10.0.0.1", "10.0.0.9", "255.0.255.0"));
	refused(addresses("10.0.0.1", "10.0.0", "255.255.255.0"));

	xpc_object_t wanted = with(VMNET_BRIDGED_MODE, vmnet_shared_interface_name_key, "en0");
	xpc_dictionary_set_uint64(wanted, vmnet_mtu_key, 1500);
	refused(wanted);
	wanted = description(VMNET_SHARED_MODE);
	xpc_dictionary_set_uuid(wanted, vmnet_network_identifier_key, uuid);
	refused(wanted);
	wanted = description(VMNET_SHARED_MODE);
	xpc_dictionary_set_bool(wanted, vmnet_enable_virtio_header_key, true);
	xpc_dictionary_set_bool(wanted, vmnet_enable_checksum_offload_key, true);
	refused(wanted);
	wanted = description(VMNET_SHARED_MODE);
	xpc_dictionary_set_uint64(wanted, vmnet_mtu_key, 10);
	refused(wanted);

	struct started started = start(addresses("10.5.0.1", "10.5.0.99", "255.255.0.0"));
	EQUAL(started.status, VMNET_SUCCESS);
	CHECK(strcmp(string_of(&started, vmnet_end_address_key), "10.5.0.99") == 0);
	stop(&started);
}

static void failed_starts(void)
{
	static const vmnet_return_t statuses[] = {VMNET_NOT_AUTHORIZED, VMNET_FAILURE, VMNET_SHARING_SERVICE_BUSY};
	for (int i = 0; i < 3; i++) {
		char command[64];
		snprintf(command, sizeof command, "start-status %u 1", statuses[i]);
		standin_control(command);
		struct started started = start(description(VMNET_SHARED_MODE));
		EQUAL(started.status, statuses[i]);
		CHECK(started.interface != NULL && started.parameters == NULL);
		stop(&started);
	}
	standin_control("start-null 1 1");
	struct started started = start(description(VMNET_SHARED_MODE));
	CHECK(started.interface == NULL);
	EQUAL(started.status, VMNET_FAILURE);
	stop(&started);

	standin_control("start-null 2 1");
	dispatch_queue_t queue = dispatch_queue_create("silent", NULL);
	xpc_object_t wanted = description(VMNET_SHARED_MODE);
	__block int calls = 0;
	CHECK(vmnet_start_interface(wanted, queue, ^(vmnet_return_t status, xpc_object_t parameters) {
		(void)status, (void)parameters;
		calls++;
	      }) == NULL);
	dispatch_sync(queue, ^{
	});
	EQUAL(calls, 0);
	xpc_release(wanted);
	dispatch_release((dispatch_object_t)queue);
}

static void one_subnet_one_mode(void)
{
	struct started first = start_shared();
	xpc_object_t wanted = addresses("192.168.64.1", "192.168.64.9", "255.255.255.0");
	xpc_dictionary_set_uint64(wanted, vmnet_operation_mode_key, VMNET_HOST_MODE);
	struct started second = start(xpc_retain(wanted));
	EQUAL(second.status, VMNET_SHARING_SERVICE_BUSY);
	stop(&second);
	stop(&first);
	second = start(wanted);
	EQUAL(second.status, VMNET_SUCCESS);
	struct started third = start_shared();
	CHECK(strcmp(string_of(&third, vmnet_start_address_key), "192.168.65.1") == 0);
	stop(&second);
	stop(&third);
}

static void no_more_than_32(void)
{
	struct started all[33];
	for (int i = 0; i < 33; i++) {
		all[i] = start(description(VMNET_SHARED_MODE));
		EQUAL(all[i].status, i < 32 ? VMNET_SUCCESS : VMNET_FAILURE);
	}
	for (int i = 0; i < 33; i++)
		stop(&all[i]);
}

static void faulty_stops(void)
{
	struct started started = start_shared();
	standin_control("stop-return 1001 1");
	EQUAL(vmnet_stop_interface(started.interface, started.queue, ^(vmnet_return_t status) {
		(void)status;
		fail(__FILE__, __LINE__, "not called");
	      }),
	      VMNET_FAILURE);
	stop(&started);
}

static void used_when_stopped(void)
{
	dies("of kind interface has ended", ^{
	  struct started started = start_shared();
	  stop(&started);
	  int count = 1;
	  vmnet_read(started.interface, NULL, &count);
	});
	dies("vmnet_start_interface: NULL where a block", ^{
	  vmnet_start_interface(description(VMNET_SHARED_MODE), dispatch_queue_create("x", NULL), NULL);
	});
	dies("no object of this library", ^{
	  uint64_t cf_dictionary[16] = {1};
	  vmnet_start_interface((xpc_object_t)(void *)cf_dictionary, dispatch_queue_create("x", NULL),
				^(vmnet_return_t status, xpc_object_t parameters) {
				  (void)status, (void)parameters;
				});
	});
}

static void interface_list(void)
{
	standin_control("bridgeable en0 en5");
	xpc_object_t list = vmnet_copy_shared_interface_list();
	EQUAL(xpc_array_get_count(list), 2);
	CHECK(strcmp(xpc_array_get_string(list, 1), "en5") == 0);
	xpc_release(list);
}

/* Bytes allocated and not freed. Not what the kernel counts, which has thread stacks and free memory in it. 0 under a
 * sanitizer and valgrind, which look for leaks in their own way. */
static int64_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();
	return (int64_t)(info.uordblks + info.hblkhd);
}

static void thousand_cycles(void)
{
	standin_control("start-delay 0; stop-delay 0");
	int64_t before = 0;
	for (int i = 0; i < 1000; i++) {
		if (i == 200)
			before = allocated();
		struct started started = start_shared();
		uint8_t frame[64] = {0};
		EQUAL(standin_inject(0, frame, sizeof frame, 1), 1);
		stop(&started);
	}
	int64_t grown = allocated() - before;
	printf("800 start and stop cycles grew the process by %lld bytes\n", (long long)grown);
	CHECK(grown < 128 << 10);
}

const struct check interface_checks[] = {
	{"shared mode tells what it chose", shared},
	{"bridged mode has no addresses of its own", bridged},
	{"the same interface id gets the same MAC", same_identifier_same_mac},
	{"an isolated host network has no DHCP", isolated_host},
	{"packet sizes follow MTU and TSO", sizes},
	{"no batch limits before macOS 15", as_before_macos_15},
	{"wrong descriptions are refused", refused_descriptions},
	{"a start that fails tells its handler", failed_starts},
	{"a subnet is in one mode only, until stopped", one_subnet_one_mode},
	{"32 interfaces and no more", no_more_than_32},
	{"a stop that is refused stops nothing", faulty_stops},
	{"a stopped interface, a NULL handler, a foreign dictionary end the process", used_when_stopped},
	{"the list of interfaces to bridge", interface_list},
	{"1,000 start and stop cycles", thousand_cycles},
	{NULL, NULL},
};
