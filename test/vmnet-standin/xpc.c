/*
 * XPC objects: immutable scalars, dictionaries that keep the order of insertion, arrays.
 *
 * As there: a getter on a missing key, or on a value of another type, gives zero, false or NULL; a value got from a
 * container belongs to the container; anything but an XPC object in the place of one ends the process.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apple.h"
#include "block.h"
#include "object.h"

struct xpc_object {
	struct object object;
	xpc_type_t type;
	union {
		bool boolean;
		int64_t int64;
		uint64_t uint64;
		char *string;
		xpc_uuid_t uuid;
		struct {
			char **keys; /* NULL in an array */
			xpc_object_t *values;
			size_t count, capacity;
		};
	};
};

const struct _xpc_type_s _xpc_type_array = {"array"}, _xpc_type_bool = {"bool"}, _xpc_type_dictionary = {"dictionary"},
			 _xpc_type_int64 = {"int64"}, _xpc_type_string = {"string"}, _xpc_type_uint64 = {"uint64"},
			 _xpc_type_uuid = {"uuid"};

#define CONSTANT(value) \
	{ .object = {.magic = OBJECT_CONSTANT, .kind = KIND_XPC}, .type = &_xpc_type_bool, .boolean = value }
struct xpc_object _xpc_bool_true = CONSTANT(true), _xpc_bool_false = CONSTANT(false);

static xpc_object_t make(xpc_type_t type)
{
	xpc_object_t object = object_new(KIND_XPC, sizeof *object);
	object->type = type;
	return object;
}

static void check_type(xpc_object_t object, xpc_type_t type, const char *call)
{
	object_check(object, KIND_XPC, call);
	if (object->type != type)
		misuse("%s: an XPC %s where XPC %s is wanted", call, object->type->name, type->name);
}

/* NULL unless `object` is there and of that type. */
static xpc_object_t as(xpc_object_t object, xpc_type_t type)
{
	return object != NULL && object->type == type ? object : NULL;
}

static void *grown(void *memory, size_t size)
{
	void *larger = realloc(memory, size);
	if (larger == NULL)
		misuse("out of memory");
	return larger;
}

xpc_object_t xpc_retain(xpc_object_t object)
{
	object_check(object, KIND_XPC, "xpc_retain");
	object_retain(object, "xpc_retain");
	return object;
}

void xpc_release(xpc_object_t object)
{
	object_check(object, KIND_XPC, "xpc_release");
	if (!object_release(object, "xpc_release"))
		return;
	if (object->type == &_xpc_type_string)
		free(object->string);
	if (object->type == &_xpc_type_dictionary || object->type == &_xpc_type_array) {
		for (size_t i = 0; i < object->count; i++) {
			if (object->keys != NULL)
				free(object->keys[i]);
			xpc_release(object->values[i]);
		}
		free(object->keys);
		free(object->values);
	}
	object_bury(object);
}

xpc_type_t xpc_get_type(xpc_object_t object)
{
	object_check(object, KIND_XPC, "xpc_get_type");
	return object->type;
}

const char *xpc_type_get_name(xpc_type_t type)
{
	return type->name;
}

bool xpc_equal(xpc_object_t a, xpc_object_t b)
{
	object_check(a, KIND_XPC, "xpc_equal");
	object_check(b, KIND_XPC, "xpc_equal");
	if (a->type != b->type)
		return false;
	if (a->type == &_xpc_type_bool)
		return a->boolean == b->boolean;
	if (a->type == &_xpc_type_string)
		return strcmp(a->string, b->string) == 0;
	if (a->type == &_xpc_type_uuid)
		return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0;
	if (a->type == &_xpc_type_int64 || a->type == &_xpc_type_uint64)
		return a->uint64 == b->uint64;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		xpc_object_t other = b->keys == NULL ? b->values[i] : xpc_dictionary_get_value(b, a->keys[i]);
		if (other == NULL || !xpc_equal(a->values[i], other))
			return false;
	}
	return true;
}

static void describe(FILE *out, xpc_object_t object)
{
	fprintf(out, "<%s: ", object->type->name);
	if (object->type == &_xpc_type_bool)
		fputs(object->boolean ? "true" : "false", out);
	else if (object->type == &_xpc_type_int64)
		fprintf(out, "%lld", (long long)object->int64);
	else if (object->type == &_xpc_type_uint64)
		fprintf(out, "%llu", (unsigned long long)object->uint64);
	else if (object->type == &_xpc_type_string)
		fprintf(out, "\"%s\"", object->string);
	else if (object->type == &_xpc_type_uuid)
		for (int i = 0; i < 16; i++)
			fprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", object->uuid[i]);
	else
		for (size_t i = 0; i < object->count; i++) {
			fprintf(out, "%s%s%s", i == 0 ? "" : ", ", object->keys == NULL ? "" : object->keys[i],
				object->keys == NULL ? "" : " = ");
			describe(out, object->values[i]);
		}
	fputc('>', out);
}

char *xpc_copy_description(xpc_object_t object)
{
	object_check(object, KIND_XPC, "xpc_copy_description");
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	describe(out, object);
	fclose(out);
	return text;
}

xpc_object_t xpc_bool_create(bool value)
{
	return value ? &_xpc_bool_true : &_xpc_bool_false;
}

bool xpc_bool_get_value(xpc_object_t object)
{
	check_type(object, &_xpc_type_bool, "xpc_bool_get_value");
	return object->boolean;
}

xpc_object_t xpc_int64_create(int64_t value)
{
	xpc_object_t object = make(&_xpc_type_int64);
	object->int64 = value;
	return object;
}

int64_t xpc_int64_get_value(xpc_object_t object)
{
	check_type(object, &_xpc_type_int64, "xpc_int64_get_value");
	return object->int64;
}

xpc_object_t xpc_uint64_create(uint64_t value)
{
	xpc_object_t object = make(&_xpc_type_uint64);
	object->uint64 = value;
	return object;
}

uint64_t xpc_uint64_get_value(xpc_object_t object)
{
	check_type(object, &_xpc_type_uint64, "xpc_uint64_get_value");
	return object->uint64;
}

xpc_object_t xpc_string_create(const char *string)
{
	if (string == NULL)
		misuse("xpc_string_create: NULL is no string");
	xpc_object_t object = make(&_xpc_type_string);
	object->string = strdup(string);
	return object;
}

size_t xpc_string_get_length(xpc_object_t object)
{
	return strlen(xpc_string_get_string_ptr(object));
}

const char *xpc_string_get_string_ptr(xpc_object_t object)
{
	check_type(object, &_xpc_type_string, "xpc_string_get_string_ptr");
	return object->string;
}

xpc_object_t xpc_uuid_create(const xpc_uuid_t uuid)
{
	xpc_object_t object = make(&_xpc_type_uuid);
	memcpy(object->uuid, uuid, sizeof object->uuid);
	return object;
}

const uint8_t *xpc_uuid_get_bytes(xpc_object_t object)
{
	check_type(object, &_xpc_type_uuid, "xpc_uuid_get_bytes");
	return object->uuid;
}

xpc_object_t xpc_dictionary_create_empty(void)
{
	return make(&_xpc_type_dictionary);
}

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count)
{
	xpc_object_t dictionary = xpc_dictionary_create_empty();
	for (size_t i = 0; i < count; i++)
		xpc_dictionary_set_value(dictionary, keys[i], values[i]);
	return dictionary;
}

size_t xpc_dictionary_get_count(xpc_object_t dictionary)
{
	check_type(dictionary, &_xpc_type_dictionary, "xpc_dictionary_get_count");
	return dictionary->count;
}

bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier)
{
	check_type(dictionary, &_xpc_type_dictionary, "xpc_dictionary_apply");
	block_check(applier, "xpc_dictionary_apply");
	for (size_t i = 0; i < dictionary->count; i++)
		if (!applier(dictionary->keys[i], dictionary->values[i]))
			return false;
	return true;
}

static size_t find(xpc_object_t dictionary, const char *key)
{
	size_t i = 0;
	while (i < dictionary->count && strcmp(dictionary->keys[i], key) != 0)
		i++;
	return i;
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key)
{
	check_type(dictionary, &_xpc_type_dictionary, "xpc_dictionary_get_value");
	if (key == NULL)
		misuse("xpc_dictionary_get_value: NULL is no key");
	size_t i = find(dictionary, key);
	return i < dictionary->count ? dictionary->values[i] : NULL;
}

static void append(xpc_object_t container, xpc_object_t value)
{
	if (container->count == container->capacity) {
		container->capacity = container->capacity == 0 ? 8 : 2 * container->capacity;
		container->values = grown(container->values, container->capacity * sizeof *container->values);
		if (container->type == &_xpc_type_dictionary)
			container->keys = grown(container->keys, container->capacity * sizeof *container->keys);
	}
	container->values[container->count++] = xpc_retain(value);
}

static void remove_at(xpc_object_t dictionary, size_t i)
{
	free(dictionary->keys[i]);
	xpc_release(dictionary->values[i]);
	size_t after = --dictionary->count - i;
	memmove(&dictionary->keys[i], &dictionary->keys[i + 1], after * sizeof *dictionary->keys);
	memmove(&dictionary->values[i], &dictionary->values[i + 1], after * sizeof *dictionary->values);
}

/* NULL takes the key out. */
void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value)
{
	check_type(dictionary, &_xpc_type_dictionary, "xpc_dictionary_set_value");
	if (key == NULL)
		misuse("xpc_dictionary_set_value: NULL is no key");
	size_t i = find(dictionary, key);
	if (i < dictionary->count)
		remove_at(dictionary, i);
	if (value == NULL)
		return;
	append(dictionary, value);
	dictionary->keys[dictionary->count - 1] = strdup(key);
}

/* The setters of a type: the dictionary keeps the value alone. */
static void set_new(xpc_object_t dictionary, const char *key, xpc_object_t value)
{
	xpc_dictionary_set_value(dictionary, key, value);
	xpc_release(value);
}

void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value)
{
	set_new(dictionary, key, xpc_bool_create(value));
}

void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value)
{
	set_new(dictionary, key, xpc_int64_create(value));
}

void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value)
{
	set_new(dictionary, key, xpc_uint64_create(value));
}

void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *string)
{
	set_new(dictionary, key, xpc_string_create(string));
}

void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const xpc_uuid_t uuid)
{
	set_new(dictionary, key, xpc_uuid_create(uuid));
}

bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key)
{
	xpc_object_t value = as(xpc_dictionary_get_value(dictionary, key), &_xpc_type_bool);
	return value != NULL && value->boolean;
}

int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key)
{
	xpc_object_t value = as(xpc_dictionary_get_value(dictionary, key), &_xpc_type_int64);
	return value == NULL ? 0 : value->int64;
}

uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key)
{
	xpc_object_t value = as(xpc_dictionary_get_value(dictionary, key), &_xpc_type_uint64);
	return value == NULL ? 0 : value->uint64;
}

const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key)
{
	xpc_object_t value = as(xpc_dictionary_get_value(dictionary, key), &_xpc_type_string);
	return value == NULL ? NULL : value->string;
}

const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key)
{
	xpc_object_t value = as(xpc_dictionary_get_value(dictionary, key), &_xpc_type_uuid);
	return value == NULL ? NULL : value->uuid;
}

xpc_object_t xpc_array_create_empty(void)
{
	return make(&_xpc_type_array);
}

xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count)
{
	xpc_object_t array = xpc_array_create_empty();
	for (size_t i = 0; i < count; i++)
		xpc_array_append_value(array, values[i]);
	return array;
}

size_t xpc_array_get_count(xpc_object_t array)
{
	check_type(array, &_xpc_type_array, "xpc_array_get_count");
	return array->count;
}

bool xpc_array_apply(xpc_object_t array, xpc_array_applier_t applier)
{
	check_type(array, &_xpc_type_array, "xpc_array_apply");
	block_check(applier, "xpc_array_apply");
	for (size_t i = 0; i < array->count; i++)
		if (!applier(i, array->values[i]))
			return false;
	return true;
}

xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index)
{
	check_type(array, &_xpc_type_array, "xpc_array_get_value");
	if (index >= array->count)
		misuse("xpc_array_get_value: %zu is past the end of %zu values", index, array->count);
	return array->values[index];
}

void xpc_array_append_value(xpc_object_t array, xpc_object_t value)
{
	check_type(array, &_xpc_type_array, "xpc_array_append_value");
	append(array, value);
}

const char *xpc_array_get_string(xpc_object_t array, size_t index)
{
	xpc_object_t value = as(xpc_array_get_value(array, index), &_xpc_type_string);
	return value == NULL ? NULL : value->string;
}

uint64_t xpc_array_get_uint64(xpc_object_t array, size_t index)
{
	xpc_object_t value = as(xpc_array_get_value(array, index), &_xpc_type_uint64);
	return value == NULL ? 0 : value->uint64;
}
