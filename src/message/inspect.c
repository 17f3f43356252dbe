/*
 * inspect.c
 *		What may go wrong with a rendered field on the way to a reader's eye.
 *
 * The lengths that devices show are advice of the vendors' and messaging products'
 * guides: a longer text is sent as it is, and may be cut off.
 */
#include "postgres.h"

#include <unicode/uchar.h>

#include "utils/builtins.h"

#include "common/common.h"
#include "message/message.h"
#include "template/escape.h"
#include "template/sms.h"

/* Emoji of this version of Unicode and later are a box on devices of a few years ago. */
#define FIRST_NEW_EMOJI 14
#define MOST_SMS_CHARACTERS 1600

/* How much of a text is seen somewhere, in characters; less when an image is shown. */
typedef struct Room
{
	const char *channel;
	const char *field;
	const char *where;
	int			most;
	int			with_image;
} Room;

static const Room rooms[] = {
	{"push", "title", "Android", 65, 65},
	{"push", "body", "the lock screen of Android", 49, 49},
	{"push", "body", "a banner of iOS", 80, 65},
	{"push", "body", "the lock screen of iOS", 160, 130},
	{"push", "body", "the drawer of Android", 597, 597},
	{"email", "subject", "most mail clients", 60, 60},
	{"email", "preheader", "most mail clients", 100, 100}
};

/* How much a channel takes at all, in characters. */
static const Room ends[] = {
	{"whatsapp", "text", "WhatsApp takes", 4096, 4096},
	{"chat", "text", "Discord takes", 2000, 2000},
	{"sms", "text", "most providers take", MOST_SMS_CHARACTERS, MOST_SMS_CHARACTERS}
};

/*
 * Adds a warning.
 */
static List *
warn(List *warnings, char *warning)
{
	return lappend(warnings, warning);
}

/*
 * Texts that are longer than what is shown or taken.
 */
static List *
check_length(List *warnings, const TeInspected *field, bool has_image)
{
	StringInfoData places;
	int			i;

	initStringInfo(&places);
	for (i = 0; i < lengthof(rooms); i++)
	{
		int			most = has_image ? rooms[i].with_image : rooms[i].most;

		if (strcmp(rooms[i].channel, field->channel->name) == 0 && strcmp(rooms[i].field, field->name) == 0 &&
			field->graphemes > most)
			appendStringInfo(&places, "%s%s (about %d characters)", places.len ? ", " : "", rooms[i].where, most);
	}
	if (places.len > 0)
		warnings = warn(warnings, psprintf("may be cut off on %s", places.data));
	for (i = 0; i < lengthof(ends); i++)
		if (strcmp(ends[i].channel, field->channel->name) == 0 && strcmp(ends[i].field, field->name) == 0 &&
			field->graphemes > ends[i].most)
			warnings = warn(warnings, psprintf("is too long: %s %d characters", ends[i].where, ends[i].most));
	return warnings;
}

/*
 * Characters that not every device shows.
 */
static List *
check_characters(List *warnings, const TeInspected *field)
{
	const char *end = field->text + field->len;
	const char *at;
	bool		emoji = false;
	bool		broken = false;

	for (at = field->text; at < end;)
	{
		const char *start = at;
		uint32		character = te_utf8_next(&at, end);
		UVersionInfo age;

		if (character == 0xFFFD && !broken)
		{
			warnings = warn(warnings, pstrdup("holds a character that was lost (U+FFFD)"));
			broken = true;
		}
		if (character < 0x1F000 || emoji || !u_hasBinaryProperty(character, UCHAR_EMOJI_PRESENTATION))
			continue;
		u_charAge(character, age);
		if (age[0] < FIRST_NEW_EMOJI)
			continue;
		warnings = warn(warnings, psprintf("emoji %.*s came with Unicode %d: older devices show a box",
										   (int) (at - start), start, age[0]));
		emoji = true;
	}
	return warnings;
}

/*
 * Whether a text ends with another one, whatever the case of its letters.
 */
static bool
ends_with(const char *text, int len, const char *end)
{
	int			end_len = strlen(end);

	return len >= end_len && pg_strncasecmp(text + len - end_len, end, end_len) == 0;
}

/*
 * Links: a scheme, and for images one that devices load, and a kind of file they show.
 */
static List *
check_url(List *warnings, const TeInspected *field)
{
	char		scheme[TE_SCHEME_SIZE];
	int			len = field->len;
	int			i;

	te_url_scheme(field->text, field->len, scheme);
	if (scheme[0] == '\0')
		return warn(warnings, pstrdup("is no complete URL: it has no scheme such as https"));
	if (field->kind == TE_FIELD_URL)
		return strcmp(scheme, "http") == 0
			? warn(warnings, pstrdup("is http: what is sent can be read and changed on its way")) : warnings;
	if (strcmp(scheme, "https") != 0)
		return warn(warnings, psprintf("is %s: devices load images by https only", scheme));
	for (i = 0; i < field->len; i++)
		if (field->text[i] == '?' || field->text[i] == '#')
			break;
	len = i;
	if (ends_with(field->text, len, ".jpg") || ends_with(field->text, len, ".jpeg") ||
		ends_with(field->text, len, ".png") || ends_with(field->text, len, ".gif"))
		return warnings;
	if (ends_with(field->text, len, ".webp") || ends_with(field->text, len, ".svg") || ends_with(field->text, len, ".avif"))
		return warn(warnings, pstrdup("is a kind of image that not every device shows: iOS shows .jpg, .png and .gif"));
	return warn(warnings, pstrdup("has no extension of an image: .jpg, .png or .gif"));
}

/*
 * Text messages: what makes parts short, and how many there are.
 */
static List *
check_sms(List *warnings, TeInspected *field)
{
	TeSms		sms;

	te_sms_measure(field->text, field->len, &sms);
	field->encoding = sms.gsm7 ? "GSM-7" : "UCS-2";
	field->segments = sms.segments;
	if (!sms.gsm7)
	{
		char		bytes[4];
		int			len = te_utf8_write(sms.first_other, bytes);

		warnings = warn(warnings, sms.others == 1
						? psprintf("one character outside of GSM-7 (%.*s) makes a part hold 70 characters and not 160", len, bytes)
						: psprintf("%d characters outside of GSM-7 (the first is %.*s) make a part hold 70 characters and not 160",
								   sms.others, len, bytes));
	}
	if (sms.segments > 1)
		warnings = warn(warnings, psprintf("is sent in %d parts", sms.segments));
	return warnings;
}

/*
 * Mail of HTML: what readers cut off, or cannot read.
 */
static List *
check_html(List *warnings, const TeInspected *field)
{
	if (field->len > 102 * 1024)
		warnings = warn(warnings, pstrdup("is longer than 102 kB: Gmail cuts it off"));
	return warnings;
}

/*
 * Looks at one rendered field; fills in its encoding and segments. Returns warnings as
 * texts in the current memory context.
 */
List *
te_inspect_field(TeInspected *field, bool has_image)
{
	List	   *warnings = NIL;

	if (field->len == 0)
		return warn(warnings, pstrdup("is empty"));
	switch (field->kind)
	{
		case TE_FIELD_URL:
		case TE_FIELD_IMAGE:
			return check_url(warnings, field);
		case TE_FIELD_HTML:
			return check_html(warnings, field);
		case TE_FIELD_LINE:
		case TE_FIELD_TEXT:
			warnings = check_length(warnings, field, has_image);
			warnings = check_characters(warnings, field);
			if (strcmp(field->channel->name, "sms") == 0)
				warnings = check_sms(warnings, field);
			return warnings;
		default:
			return warnings;
	}
}

/*
 * Buttons: more than devices show.
 */
List *
te_inspect_actions(List *warnings, const TeChannel *channel, Jsonb *content)
{
	Jsonb	   *actions = te_json_array(content, "actions", "content");
	int			count = actions ? JB_ROOT_COUNT(actions) : 0;

	if (strcmp(channel->name, "web_push") == 0 && count > 2)
		warnings = warn(warnings, pstrdup("browsers show 2 actions at most"));
	else if (count > 4)
		warnings = warn(warnings, pstrdup("Android shows 3 actions at most, iOS 4"));
	else if (count > 3)
		warnings = warn(warnings, pstrdup("Android shows 3 actions at most"));
	return warnings;
}

/*
 * Data: names that FCM keeps for itself.
 */
List *
te_inspect_data(List *warnings, Jsonb *content)
{
	Jsonb	   *data = te_json_object(content, "data", "content");
	JsonbIterator *it = data ? JsonbIteratorInit(&data->root) : NULL;
	JsonbValue	value;
	JsonbIteratorToken token;

	while (it && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		if (strcmp(key, "from") == 0 || strcmp(key, "message_type") == 0 || strcmp(key, "gcm") == 0 ||
			strncmp(key, "google.", 7) == 0 || strncmp(key, "gcm.notification.", 17) == 0)
			warnings = warn(warnings, psprintf("FCM refuses data with the key \"%s\"", key));
	}
	return warnings;
}
