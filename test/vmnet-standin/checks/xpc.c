#include "checks.h"

#include <stdlib.h>
#include <string.h>

static const xpc_uuid_t uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void dictionary(void)
{
	xpc_object_t object = xpc_dictionary_create(NULL, NULL, 0);
	xpc_dictionary_set_uint64(object, "number", 1);
	xpc_dictionary_set_uint64(object, "number", 1ull << 63);
	xpc_dictionary_set_int64(object, "signed", -7);
	xpc_dictionary_set_bool(object, "yes", true);
	xpc_dictionary_set_string(object, "text", "words");
	xpc_dictionary_set_uuid(object, "id", uuid);
	EQUAL(xpc_dictionary_get_count(object), 5);
	CHECK(xpc_dictionary_get_uint64(object, "number") == 1ull << 63);
	EQUAL(xpc_dictionary_get_int64(object, "signed"), -7);
	CHECK(xpc_dictionary_get_bool(object, "yes"));
	CHECK(strcmp(xpc_dictionary_get_string(object, "text"), "words") == 0);
	CHECK(memcmp(xpc_dictionary_get_uuid(object, "id"), uuid, sizeof uuid) == 0);
	CHECK(xpc_get_type(xpc_dictionary_get_value(object, "yes")) == &_xpc_type_bool);
	CHECK(xpc_dictionary_get_value(object, "yes") == &_xpc_bool_true);
	xpc_dictionary_set_value(object, "text", NULL);
	EQUAL(xpc_dictionary_get_count(object), 4);

	char *text = xpc_copy_description(object);
	CHECK(strstr(text, "id = <uuid: 00010203-0405-0607-0809-0a0b0c0d0e0f>") != NULL);
	free(text);
	xpc_release(object);
}

static void missing_and_of_another_type(void)
{
	xpc_object_t object = xpc_dictionary_create_empty();
	xpc_dictionary_set_string(object, "text", "1001");
	EQUAL(xpc_dictionary_get_uint64(object, "text"), 0);
	EQUAL(xpc_dictionary_get_uint64(object, "absent"), 0);
	CHECK(!xpc_dictionary_get_bool(object, "text"));
	CHECK(xpc_dictionary_get_uuid(object, "text") == NULL);
	CHECK(xpc_dictionary_get_string(object, "absent") == NULL);
	xpc_release(object);
}

static void containers_retain(void)
{
	xpc_object_t object = xpc_dictionary_create_empty(), array = xpc_array_create_empty();
	xpc_object_t string = xpc_string_create("one");
	xpc_array_append_value(array, string);
	xpc_array_append_value(array, string);
	xpc_dictionary_set_value(object, "list", array);
	xpc_release(string);
	xpc_release(array);
	EQUAL(standin_live("xpc"), 3);
	xpc_object_t list = xpc_retain(xpc_dictionary_get_value(object, "list"));
	xpc_release(object);
	EQUAL(xpc_array_get_count(list), 2);
	CHECK(strcmp(xpc_array_get_string(list, 1), "one") == 0);
	xpc_release(list);
}

static void applied(void)
{
	xpc_object_t object = xpc_dictionary_create_empty();
	xpc_dictionary_set_uint64(object, "a", 1);
	xpc_dictionary_set_uint64(object, "b", 2);
	xpc_dictionary_set_uint64(object, "c", 3);
	__block uint64_t sum = 0;
	CHECK(xpc_dictionary_apply(object, ^bool(const char *key, xpc_object_t value) {
	  sum += xpc_uint64_get_value(value) * (key[0] == 'b' ? 10 : 1);
	  return true;
	}));
	EQUAL(sum, 24);
	CHECK(!xpc_dictionary_apply(object, ^bool(const char *key, xpc_object_t value) {
	  (void)value;
	  return key[0] != 'b';
	}));
	xpc_release(object);
}

static void equality(void)
{
	xpc_object_t a = xpc_dictionary_create_empty(), b = xpc_dictionary_create_empty();
	xpc_dictionary_set_string(a, "x", "1");
	xpc_dictionary_set_uint64(a, "y", 2);
	xpc_dictionary_set_uint64(b, "y", 2);
	CHECK(!xpc_equal(a, b));
	xpc_dictionary_set_string(b, "x", "1");
	CHECK(xpc_equal(a, b));
	xpc_release(a);
	xpc_release(b);
}

static void misused(void)
{
	dies("no object of this library", ^{
	  char not_xpc[64] = "a CFDictionary, say";
	  xpc_release((xpc_object_t)(void *)not_xpc);
	});
	dies("has ended", ^{
	  xpc_object_t object = xpc_string_create("x");
	  xpc_release(object);
	  xpc_release(object);
	});
	dies("XPC string where XPC dictionary", ^{
	  xpc_dictionary_get_uint64(xpc_string_create("x"), "key");
	});
	dies("of kind queue where xpc", ^{
	  xpc_retain((xpc_object_t)(void *)dispatch_queue_create("x", NULL));
	});
	dies("NULL is no string", ^{
	  xpc_dictionary_set_string(xpc_dictionary_create_empty(), "x", NULL);
	});
	dies("past the end", ^{
	  xpc_array_get_value(xpc_array_create_empty(), 0);
	});
}

const struct check xpc_checks[] = {
	{"a dictionary keeps what it is given", dictionary},
	{"a getter on a missing key or another type gives nothing", missing_and_of_another_type},
	{"containers hold their values", containers_retain},
	{"a block is applied to a dictionary", applied},
	{"equal are what hold the same", equality},
	{"misuse of XPC ends the process", misused},
	{NULL, NULL},
};
