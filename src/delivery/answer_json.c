/*
 * answer_json.c
 *		Finds a value in the JSON of an answer, without memory and without errors.
 *
 * An answer is read where nothing may throw, and what was kept of it may be cut
 * off anywhere. So it is scanned in place: what stands before the cut is found,
 * anything malformed just ends the search.
 *
 * A path has member names and indexes: error.details[0].errorCode. An index of
 * [*] stands for every element in turn; $ is the whole document.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#include "delivery/delivery_internal.h"

#define DEEPEST 32

/*
 * Skips white space.
 */
static const char *
skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/*
 * The four hexadecimal digits at a place as a number, -1 when they are not.
 */
static int
hex4(const char *at)
{
	int			value = 0;

	for (int i = 0; i < 4; i++)
	{
		if (!isxdigit((unsigned char) at[i]))
			return -1;
		value = value * 16 + (isdigit((unsigned char) at[i]) ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
	}
	return value;
}

/*
 * Reads a string whose opening quote is at at, decoded into out (if any), cut
 * when it is too long; returns what follows its closing quote, NULL when there
 * is none.
 */
static const char *
read_string(const char *at, char *out, size_t size)
{
	size_t		used = 0;

	for (at++; *at && *at != '"'; at++)
	{
		unsigned char bytes[4] = {(unsigned char) *at};
		int			n = 1;

		if (*at == '\\')
		{
			static const char from[] = "bfnrt";
			static const char to[] = "\b\f\n\r\t";
			const char *which;

			at++;
			if (*at == '\0')
				return NULL;
			if (*at == 'u')
			{
				int			c = hex4(at + 1);

				if (c < 0)
					return NULL;
				at += 4;
				if (c >= 0xd800 && c < 0xdc00 && at[1] == '\\' && at[2] == 'u')
				{
					int			low = hex4(at + 3);

					if (low < 0xdc00 || low > 0xdfff)
						return NULL;
					c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
					at += 6;
				}
				if (c == 0 || (c >= 0xd800 && c < 0xe000))
					c = '?';
				unicode_to_utf8((pg_wchar) c, bytes);
				n = pg_utf_mblen(bytes);
			}
			else
				bytes[0] = (which = strchr(from, *at)) != NULL ? to[which - from] : *at;
		}
		if (out && used + n < size)
		{
			memcpy(out + used, bytes, n);
			used += n;
		}
		else
			out = out ? (out[used] = '\0', NULL) : NULL;
	}
	if (out)
		out[used] = '\0';
	return *at == '"' ? at + 1 : NULL;
}

/*
 * Skips a value; NULL when it does not end.
 */
static const char *
skip_value(const char *at, int depth)
{
	at = skip_space(at);
	if (*at == '"')
		return read_string(at, NULL, 0);
	if (*at == '{' || *at == '[')
	{
		bool		object = *at == '{';
		char		close = object ? '}' : ']';

		if (depth >= DEEPEST)
			return NULL;
		at = skip_space(at + 1);
		while (*at && *at != close)
		{
			if (object)
			{
				at = *at == '"' ? read_string(at, NULL, 0) : NULL;
				if (at == NULL || *(at = skip_space(at)) != ':')
					return NULL;
				at++;
			}
			at = skip_value(at, depth + 1);
			if (at == NULL)
				return NULL;
			at = skip_space(at);
			if (*at == ',')
				at = skip_space(at + 1);
			else if (*at != close)
				return NULL;
		}
		return *at ? at + 1 : NULL;
	}
	{
		size_t		len = strcspn(at, ",]} \t\r\n");

		return len > 0 ? at + len : NULL;
	}
}

/*
 * The value of a member of the object at at; NULL when there is none.
 */
static const char *
member(const char *at, const char *name, size_t name_len)
{
	char		key[128];

	if (*at != '{')
		return NULL;
	at = skip_space(at + 1);
	while (*at == '"')
	{
		at = read_string(at, key, sizeof(key));
		if (at == NULL || *(at = skip_space(at)) != ':')
			return NULL;
		at = skip_space(at + 1);
		if (strlen(key) == name_len && memcmp(key, name, name_len) == 0)
			return at;
		at = skip_value(at, 0);
		if (at == NULL || *(at = skip_space(at)) != ',')
			return NULL;
		at = skip_space(at + 1);
	}
	return NULL;
}

/*
 * Copies a found value: a string decoded, a null as nothing, anything else as it
 * is written.
 */
static bool
copy_value(const char *at, char *out, size_t size)
{
	const char *end;

	if (*at == '"')
		return read_string(at, out, size) != NULL;
	end = skip_value(at, 0);
	if (end == NULL || strncmp(at, "null", 4) == 0)
		return false;
	strlcpy(out, at, Min(size, (size_t) (end - at) + 1));
	return true;
}

/*
 * Follows the path from the value at at.
 */
static bool
follow(const char *at, const char *path, char *out, size_t size, int depth)
{
	at = skip_space(at);
	if (*path == '.')
		path++;
	if (*path == '\0')
		return copy_value(at, out, size);
	if (depth >= DEEPEST)
		return false;
	if (*path == '[')
	{
		const char *rest = strchr(path, ']');
		bool		any = path[1] == '*';
		int			wanted = atoi(path + 1);

		if (rest == NULL || *at != '[')
			return false;
		at = skip_space(at + 1);
		for (int i = 0; *at && *at != ']'; i++)
		{
			if ((any || i == wanted) && follow(at, rest + 1, out, size, depth + 1))
				return true;
			if (!any && i == wanted)
				return false;
			at = skip_value(at, 0);
			if (at == NULL || *(at = skip_space(at)) != ',')
				return false;
			at = skip_space(at + 1);
		}
		return false;
	}
	else
	{
		size_t		len = strcspn(path, ".[");

		at = member(at, path, len);
		return at && follow(at, path + len, out, size, depth + 1);
	}
}

/*
 * Finds the value at a path and writes it as text, cut to size; false when there
 * is none, or it is null. Never throws.
 */
bool
te_answer_find(const char *body, const char *path, char *out, size_t size)
{
	out[0] = '\0';
	if (*path == '$')
		path++;
	return follow(body, path, out, size, 0);
}

/*
 * Whether the answer is one whole JSON document. Never throws.
 */
bool
te_answer_is_json(const char *body)
{
	const char *at = skip_space(body);
	const char *end;

	if (*at != '{' && *at != '[')
		return false;
	end = skip_value(at, 0);
	return end && *skip_space(end) == '\0';
}
