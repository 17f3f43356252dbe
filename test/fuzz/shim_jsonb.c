/*
 * shim_jsonb.c
 *		jsonb in its stored form, as utils/jsonb.h describes it: made from a value, and
 *		read by key.
 */
#include "shim.h"

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

/* ---- reading ---- */

uint32
getJsonbOffset(const JsonbContainer *json, int index)
{
	uint32		offset = 0;

	for (index--; index >= 0; index--)
	{
		offset += JBE_OFFLENFLD(json->children[index]);
		if (JBE_HAS_OFF(json->children[index]))
			break;
	}
	return offset;
}

uint32
getJsonbLength(const JsonbContainer *json, int index)
{
	uint32		length = JBE_OFFLENFLD(json->children[index]);

	return JBE_HAS_OFF(json->children[index]) ? length - getJsonbOffset(json, index) : length;
}

/* Child number index of a container whose data begins behind so many entries. */
static void
read_child(JsonbContainer *json, int children, int index, JsonbValue *value)
{
	char	   *data = (char *) &json->children[children];
	uint32		offset = getJsonbOffset(json, index);
	uint32		length = getJsonbLength(json, index);
	JEntry		entry = json->children[index];

	if (JBE_ISSTRING(entry))
	{
		value->type = jbvString;
		value->val.string.val = data + offset;
		value->val.string.len = length;
	}
	else if (JBE_ISNUMERIC(entry))
	{
		value->type = jbvNumeric;
		value->val.numeric = (Numeric) (data + INTALIGN(offset));
	}
	else if (JBE_ISBOOL(entry))
	{
		value->type = jbvBool;
		value->val.boolean = JBE_ISBOOL_TRUE(entry);
	}
	else if (JBE_ISNULL(entry))
		value->type = jbvNull;
	else
	{
		value->type = jbvBinary;
		value->val.binary.data = (JsonbContainer *) (data + INTALIGN(offset));
		value->val.binary.len = length - (INTALIGN(offset) - offset);
	}
}

static int
compare_keys(const char *a, int alen, const char *b, int blen)
{
	return alen != blen ? alen - blen : memcmp(a, b, alen);
}

JsonbValue *
getKeyJsonValueFromContainer(JsonbContainer *json, const char *key, int len, JsonbValue *result)
{
	int			count = JsonContainerSize(json);
	int			low = 0;
	int			high = count;

	if (!JsonContainerIsObject(json))
		shim_abort("a key is looked for in what is no object");
	while (low < high)
	{
		int			middle = (low + high) / 2;
		JsonbValue	name;
		int			order;

		read_child(json, count * 2, middle, &name);
		order = compare_keys(key, len, name.val.string.val, name.val.string.len);
		if (order == 0)
		{
			if (result == NULL)
				result = palloc(sizeof(JsonbValue));
			read_child(json, count * 2, count + middle, result);
			return result;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

JsonbValue *
getIthJsonbValueFromContainer(JsonbContainer *json, uint32 index)
{
	JsonbValue *result;

	if (!JsonContainerIsArray(json))
		shim_abort("an item is looked for in what is no array");
	if (index >= JsonContainerSize(json))
		return NULL;
	result = palloc(sizeof(JsonbValue));
	read_child(json, JsonContainerSize(json), index, result);
	return result;
}

/* ---- making ---- */

static JEntry write_value(TeRender *r, StringInfo out, int data, TeValue value);

static void
align_int(StringInfo out)
{
	while (out->len % 4)
		appendStringInfoCharMacro(out, '\0');
}

static int
compare_members(const void *a, const void *b)
{
	const TeMember *x = a;
	const TeMember *y = b;

	return compare_keys(x->key, x->keylen, y->key, y->keylen);
}

/* Sets an entry: with its length, or with where it ends, as often as the server does. */
static void
set_entry(StringInfo out, int entries, int data, int index, JEntry type, int start)
{
	int			end = out->len - data;
	JEntry		entry = index % JB_OFFSET_STRIDE == 0 ? type | JENTRY_HAS_OFF | end : type | (end - start);

	memcpy(out->data + entries + index * sizeof(JEntry), &entry, sizeof(JEntry));
}

/* Appends a list or a hash as a container. */
static void
write_container(TeRender *r, StringInfo out, TeValue value)
{
	bool		is_object = te_value_is_hash(value);
	const TeValue *items = NULL;
	TeMember   *members = NULL;
	uint32		header;
	int			count;
	int			children;
	int			entries;
	int			data;
	int			i;

	if (is_object)
	{
		const TeMember *unsorted = te_value_members(r, value, &count);

		members = palloc(sizeof(TeMember) * Max(count, 1));
		if (count > 0)
			memcpy(members, unsorted, sizeof(TeMember) * count);
		qsort(members, count, sizeof(TeMember), compare_members);
	}
	else
		items = te_value_items(r, value, &count);
	header = count | (is_object ? JB_FOBJECT : JB_FARRAY);
	children = is_object ? 2 * count : count;
	appendBinaryStringInfo(out, (char *) &header, sizeof(header));
	entries = out->len;
	enlargeStringInfo(out, children * sizeof(JEntry));
	out->len += children * sizeof(JEntry);
	data = out->len;
	for (i = 0; i < children; i++)
	{
		int			start = out->len - data;
		JEntry		type = JENTRY_ISSTRING;

		if (is_object && i < count)
			appendBinaryStringInfo(out, members[i].key, members[i].keylen);
		else
			type = write_value(r, out, data, is_object ? members[i - count].value : items[i]);
		set_entry(out, entries, data, i, type, start);
	}
	if (members)
		pfree(members);
}

/* Appends a value's data and returns its type. */
static JEntry
write_value(TeRender *r, StringInfo out, int data, TeValue value)
{
	Numeric		numeric;

	check_stack_depth();
	switch (value.kind)
	{
		case TE_BOOL:
			return value.u.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
		case TE_INT:
			numeric = int64_to_numeric(value.u.integer);
			break;
		case TE_FLOAT:
			{
				char		text[DOUBLE_SHORTEST_DECIMAL_LEN + 2];

				double_to_shortest_decimal_buf(value.u.number, text);
				if (strpbrk(text, ".e") == NULL)
					strcat(text, ".0");
				numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text), 0, Int32GetDatum(-1)));
				break;
			}
		case TE_DECIMAL:
			numeric = value.u.decimal;
			break;
		case TE_STRING:
			appendBinaryStringInfo(out, value.u.str, value.len);
			return JENTRY_ISSTRING;
		case TE_NIL:
			return JENTRY_ISNULL;
		default:
			align_int(out);
			write_container(r, out, value);
			return JENTRY_ISCONTAINER;
	}
	align_int(out);
	appendBinaryStringInfo(out, (char *) numeric, VARSIZE(numeric));
	return JENTRY_ISNUMERIC;
}

/*
 * A jsonb, palloc'ed, of what te_value_parse_json() returned.
 */
Jsonb *
shim_jsonb(TeRender *r, TeValue value)
{
	StringInfoData out;
	Jsonb	   *result;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	if (te_value_is_list(value) || te_value_is_hash(value))
		write_container(r, &out, value);
	else
	{
		/* a lone scalar lies in an array of its own */
		uint32		header = 1 | JB_FARRAY | JB_FSCALAR;
		JEntry		entry = 0;
		int			entries;

		appendBinaryStringInfo(&out, (char *) &header, sizeof(header));
		entries = out.len;
		appendBinaryStringInfo(&out, (char *) &entry, sizeof(entry));
		set_entry(&out, entries, out.len, 0, write_value(r, &out, out.len, value), 0);
	}
	result = palloc(out.len);
	memcpy(result, out.data, out.len);
	SET_VARSIZE(result, out.len);
	pfree(out.data);
	return result;
}
