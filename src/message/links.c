/*
 * links.c
 *		Rewriting the links of a rendered message: parameters that say where a visit
 *		came from, and the detour that counts clicks.
 *
 * Links into apps, to mailboxes and telephones stay as they are, and so do those to
 * unsubscribe or to change preferences: they must work whatever becomes of a token.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"

#include "common/common.h"
#include "message/links.h"

#define MAX_TARGET 4000

/*
 * Whether text of len bytes has word in it, in any case.
 */
static bool
contains(const char *text, size_t len, const char *word)
{
	size_t		word_len = strlen(word);

	for (size_t i = 0; i + word_len <= len; i++)
		if (pg_strncasecmp(text + i, word, word_len) == 0)
			return true;
	return false;
}

/*
 * Whether text of len bytes begins with word, in any case.
 */
static bool
begins(const char *text, size_t len, const char *word)
{
	size_t		word_len = strlen(word);

	return len >= word_len && pg_strncasecmp(text, word, word_len) == 0;
}

/*
 * Whether a link is one to rewrite.
 */
static bool
is_ours(const char *url, size_t len, const TeLinkRules *rules)
{
	if (!(begins(url, len, "http://") && len > 7) && !(begins(url, len, "https://") && len > 8))
		return false;
	if (contains(url, len, "unsubscribe") || contains(url, len, "preferences"))
		return false;
	if (rules->public_url && rules->public_url[0] && begins(url, len, rules->public_url))
		return false;
	return rules->click_url == NULL || !begins(url, len, rules->click_url);
}

/*
 * Appends the rewritten form of a link that is_ours().
 */
static void
append_link(StringInfo out, const char *url, size_t len, const TeLinkRules *rules)
{
	StringInfoData target;
	const char *fragment = memchr(url, '#', len);
	size_t		head = fragment ? (size_t) (fragment - url) : len;
	const char *query = memchr(url, '?', head);

	initStringInfo(&target);
	appendBinaryStringInfo(&target, url, (int) head);
	if (rules->utm && !(query && contains(query, head - (query - url), "utm_")))
	{
		if (query == NULL)
			appendStringInfoChar(&target, '?');
		else if (url[head - 1] != '?' && url[head - 1] != '&')
			appendStringInfoChar(&target, '&');
		appendStringInfoString(&target, rules->utm);
	}
	appendBinaryStringInfo(&target, url + head, (int) (len - head));
	/* browsers and proxies take no longer ones */
	if (rules->key && rules->click_url && target.len <= MAX_TARGET)
	{
		char	   *token = te_link_token(rules->key, 'c', rules->send_id, rules->expires, target.data);

		appendStringInfo(out, "%s%s", rules->click_url, token);
		pfree(token);
	}
	else
		appendBinaryStringInfo(out, target.data, target.len);
	pfree(target.data);
}

/*
 * Appends a whole field that is a link.
 */
static void
rewrite_url(StringInfo out, const char *url, size_t len, const TeLinkRules *rules)
{
	if (is_ours(url, len, rules))
		append_link(out, url, len, rules);
	else
		appendBinaryStringInfo(out, url, (int) len);
}

/*
 * Appends plain text with its links rewritten. A link ends at white space, a quote or an
 * angle bracket; a mark behind it belongs to the sentence.
 */
static void
rewrite_text(StringInfo out, const char *text, size_t len, const TeLinkRules *rules)
{
	size_t		i = 0;

	while (i < len)
	{
		size_t		end = i;

		if (!begins(text + i, len - i, "http://") && !begins(text + i, len - i, "https://"))
		{
			appendStringInfoChar(out, text[i++]);
			continue;
		}
		while (end < len && !isspace((unsigned char) text[end]) && strchr("<>\"", text[end]) == NULL)
			end++;
		while (end > i && strchr(".,;:!?)]}'*_", text[end - 1]))
			end--;
		rewrite_url(out, text + i, end - i, rules);
		i = end;
	}
}

/*
 * Appends an attribute's value with its links rewritten: "&" is written as an entity there.
 */
static void
rewrite_attribute(StringInfo out, const char *value, size_t len, const TeLinkRules *rules)
{
	static const char *const ampersands[] = {"&amp;", "&#38;", "&#x26;"};
	StringInfoData plain;
	StringInfoData link;

	initStringInfo(&plain);
	for (size_t i = 0; i < len;)
	{
		size_t		skip = 0;

		for (int k = 0; k < lengthof(ampersands) && skip == 0; k++)
			if (begins(value + i, len - i, ampersands[k]))
				skip = strlen(ampersands[k]);
		appendStringInfoChar(&plain, skip > 0 ? '&' : value[i]);
		i += Max(skip, 1);
	}
	if (!is_ours(plain.data, plain.len, rules))
	{
		appendBinaryStringInfo(out, value, (int) len);
		return;
	}
	initStringInfo(&link);
	append_link(&link, plain.data, plain.len, rules);
	for (int i = 0; i < link.len; i++)
	{
		if (link.data[i] == '&')
			appendStringInfoString(out, "&amp;");
		else if (link.data[i] == '"')
			appendStringInfoString(out, "&quot;");
		else if (link.data[i] == '\'')
			appendStringInfoString(out, "&#39;");
		else
			appendStringInfoChar(out, link.data[i]);
	}
	pfree(link.data);
	pfree(plain.data);
}

/* One attribute of a tag. */
typedef struct Attribute
{
	size_t		name;
	size_t		name_len;
	size_t		value;
	size_t		value_len;		/* 0 when it has none */
	bool		quoted;
} Attribute;

/*
 * The next attribute of a tag from *at on; false at the tag's end, where *at then is.
 */
static bool
next_attribute(const char *html, size_t len, size_t *at, Attribute *found)
{
	size_t		i = *at;
	char		quote;

	while (i < len && (isspace((unsigned char) html[i]) || html[i] == '/'))
		i++;
	*at = i;
	if (i >= len || html[i] == '>')
		return false;
	found->name = i;
	while (i < len && !isspace((unsigned char) html[i]) && html[i] != '=' && html[i] != '>' && html[i] != '/')
		i++;
	if (i == found->name)
		i++;					/* a stray sign is a name of its own */
	found->name_len = i - found->name;
	found->value = i;
	found->value_len = 0;
	found->quoted = false;
	while (i < len && isspace((unsigned char) html[i]))
		i++;
	if (i < len && html[i] == '=')
	{
		i++;
		while (i < len && isspace((unsigned char) html[i]))
			i++;
		quote = i < len ? html[i] : '\0';
		found->quoted = quote == '"' || quote == '\'';
		if (found->quoted)
			i++;
		found->value = i;
		while (i < len && (found->quoted ? html[i] != quote : !isspace((unsigned char) html[i]) && html[i] != '>'))
			i++;
		found->value_len = i - found->value;
		if (found->quoted && i < len)
			i++;
	}
	*at = i;
	return true;
}

/*
 * Whether an attribute has that name.
 */
static bool
is_named(const char *html, const Attribute *attribute, const char *name)
{
	return attribute->name_len == strlen(name) && begins(html + attribute->name, attribute->name_len, name);
}

/*
 * The end of what is not markup although it looks like it: a comment, a script, a style.
 * 0 when no such thing begins at i.
 */
static size_t
skip_raw(const char *html, size_t len, size_t i)
{
	static const char *const begin[] = {"<!--", "<script", "<style"};
	static const char *const end[] = {"-->", "</script", "</style"};

	for (int k = 0; k < lengthof(begin); k++)
	{
		if (!begins(html + i, len - i, begin[k]))
			continue;
		for (size_t at = i + strlen(begin[k]); at < len; at++)
			if (begins(html + at, len - at, end[k]))
				return at + strlen(end[k]);
		return len;
	}
	return 0;
}

/*
 * Appends the tag of a link that begins at i with its target rewritten, unless it is
 * marked. Returns where it ends.
 */
static size_t
rewrite_tag(StringInfo out, const char *html, size_t len, size_t i, const TeLinkRules *rules)
{
	size_t		at = i + 1;
	Attribute	attribute;
	Attribute	href = {0};
	bool		marked = false;

	while (at < len && isalpha((unsigned char) html[at]))
		at++;
	while (next_attribute(html, len, &at, &attribute))
	{
		if (is_named(html, &attribute, "href") && href.name_len == 0)
			href = attribute;
		marked |= is_named(html, &attribute, "data-no-track") ||
			(is_named(html, &attribute, "rel") && contains(html + attribute.value, attribute.value_len, "unsubscribe"));
	}
	if (at >= len || marked || href.value_len == 0)
		appendBinaryStringInfo(out, html + i, (int) (at - i));
	else
	{
		appendBinaryStringInfo(out, html + i, (int) (href.value - i));
		if (!href.quoted)
			appendStringInfoChar(out, '"');
		rewrite_attribute(out, html + href.value, href.value_len, rules);
		if (!href.quoted)
			appendStringInfoChar(out, '"');
		appendBinaryStringInfo(out, html + href.value + href.value_len, (int) (at - href.value - href.value_len));
	}
	return at;
}

/*
 * Where the picture that counts opens belongs: before the last end of a body, else at
 * the end.
 */
static size_t
end_of_body(const char *html, size_t len)
{
	for (size_t i = len; i > 0; i--)
		if (begins(html + i - 1, len - i + 1, "</body"))
			return i - 1;
	return len;
}

/*
 * Appends HTML with the targets of its links rewritten, and the picture.
 */
static void
rewrite_html(StringInfo out, const char *html, size_t len, const TeLinkRules *rules)
{
	size_t		body = rules->key && rules->open_url ? end_of_body(html, len) : len + 1;

	for (size_t i = 0; i <= len;)
	{
		size_t		skipped;

		if (i == body)
		{
			char	   *token = te_link_token(rules->key, 'o', rules->send_id, rules->expires, "");

			appendStringInfo(out, "<img src=\"%s%s\" width=\"1\" height=\"1\" alt=\"\">", rules->open_url, token);
			pfree(token);
			body = len + 1;
		}
		if (i == len)
			break;
		if (html[i] != '<')
			appendStringInfoChar(out, html[i++]);
		else if ((skipped = skip_raw(html, len, i)) > 0)
		{
			appendBinaryStringInfo(out, html + i, (int) (skipped - i));
			i = skipped;
		}
		else if ((begins(html + i, len - i, "<a") && i + 2 < len && isspace((unsigned char) html[i + 2])) ||
				 (begins(html + i, len - i, "<area") && i + 5 < len && isspace((unsigned char) html[i + 5])))
			i = rewrite_tag(out, html, len, i, rules);
		else
			appendStringInfoChar(out, html[i++]);
	}
}

/*
 * The kind of the text that is the value of key, at a depth of the content; root is the
 * field it is in. TE_FIELD_LINE stands for everything that has no links.
 */
static TeFieldKind
kind_of(const TeChannel *channel, const JsonbValue *root, const JsonbValue *key, int depth)
{
	const TeField *field = te_channel_field(channel, root->val.string.val, root->val.string.len);

	/* mail programs post to it: it is no link to click */
	if (field == NULL || strcmp(field->name, "list_unsubscribe") == 0)
		return TE_FIELD_LINE;
	if (depth == 1)
		return field->kind == TE_FIELD_TEXT && strcmp(field->name, "text") != 0 ? TE_FIELD_LINE : field->kind;
	if (field->kind == TE_FIELD_ACTIONS && depth == 3 && key->val.string.len == 3 &&
		memcmp(key->val.string.val, "url", 3) == 0)
		return TE_FIELD_URL;
	return TE_FIELD_LINE;
}

/*
 * The content with its links rewritten, in the current memory context.
 */
Jsonb *
te_links_rewrite(const TeChannel *channel, Jsonb *content, const TeLinkRules *rules)
{
	JsonbIterator *it = JsonbIteratorInit(&content->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	value;
	JsonbValue	root = {0};
	JsonbValue	key = {0};
	JsonbIteratorToken token;
	int			depth = 0;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		else if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		else if (token == WJB_KEY)
		{
			key = value;
			if (depth == 1)
				root = value;
		}
		else if (token == WJB_VALUE && value.type == jbvString)
		{
			StringInfoData text;
			TeFieldKind kind = kind_of(channel, &root, &key, depth);

			if (kind == TE_FIELD_TEXT || kind == TE_FIELD_HTML || kind == TE_FIELD_URL)
			{
				initStringInfo(&text);
				(kind == TE_FIELD_TEXT ? rewrite_text : kind == TE_FIELD_HTML ? rewrite_html : rewrite_url)
					(&text, value.val.string.val, value.val.string.len, rules);
				value.val.string.val = text.data;
				value.val.string.len = text.len;
			}
		}
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &value : NULL);
	}
	return JsonbValueToJsonb(result);
}

PG_FUNCTION_INFO_V1(te_links_rewrite_sql);

/*
 * An argument as a C string; NULL when it is null or empty.
 */
static char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *value = PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));

	return value && value[0] ? value : NULL;
}

/*
 * trigger_engine._rewrite_links(channel text, content jsonb, send_id bigint, utm text,
 * click_url text, open_url text, public_url text, key bytea, expires_at timestamptz)
 * returns jsonb: what te_links_rewrite() makes of a content, with key number 1.
 */
Datum
te_links_rewrite_sql(PG_FUNCTION_ARGS)
{
	const TeChannel *channel = PG_ARGISNULL(0) ? NULL : te_channel_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	TeLinkRules rules = {0};
	TeLinkKey	key = {1};

	if (channel == NULL || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(7) || PG_ARGISNULL(8) ||
		!JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(1)) || VARSIZE_ANY_EXHDR(PG_GETARG_BYTEA_PP(7)) != sizeof(key.bytes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("channel, content, send_id, key and expires_at must be given, and the key must have %zu bytes",
						sizeof(key.bytes))));
	memcpy(key.bytes, VARDATA_ANY(PG_GETARG_BYTEA_PP(7)), sizeof(key.bytes));
	rules.key = &key;
	rules.send_id = PG_GETARG_INT64(2);
	rules.utm = text_argument(fcinfo, 3);
	rules.click_url = text_argument(fcinfo, 4);
	rules.open_url = text_argument(fcinfo, 5);
	rules.public_url = text_argument(fcinfo, 6);
	rules.expires = PG_GETARG_TIMESTAMPTZ(8) / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	PG_RETURN_JSONB_P(te_links_rewrite(channel, PG_GETARG_JSONB_P(1), &rules));
}
