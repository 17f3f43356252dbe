/*
 * filter_text.c
 *		Words: title case, slugs, singular and plural.
 */
#include "postgres.h"

#include <unicode/uchar.h>

#include "template/escape.h"
#include "template/sms.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 32

/* What becomes of characters that a slug cannot have as they are. */
typedef enum SlugMode
{
	SLUG_RAW,					/* only white space becomes a hyphen */
	SLUG_DEFAULT,				/* letters and digits of all scripts stay */
	SLUG_PRETTY,				/* and the signs that a path of an URL may have */
	SLUG_ASCII,					/* only those of ASCII stay */
	SLUG_LATIN					/* Latin letters lose their marks first */
} SlugMode;

static const char *const slug_modes[] = {"raw", "default", "pretty", "ascii", "latin"};

/*
 * Appends a character in UTF-8.
 */
static void
append_character(TeRender *r, TeBuffer *out, uint32 character)
{
	char		bytes[4];

	te_buffer_append(r, out, bytes, te_utf8_write(character, bytes));
}

/*
 * Whether a character belongs to a word: letters, their marks and digits.
 */
static bool
is_word_character(uint32 character)
{
	return u_isalnum(character) || (U_GET_GC_MASK(character) & U_GC_M_MASK) != 0;
}

/*
 * titlecase: every word begins with a capital, the rest of it is in lower case. An
 * apostrophe does not begin a new word.
 */
static TeValue
filter_titlecase(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	const char *end = text.u.str + text.len;
	const char *at;
	bool		inside = false;
	TeBuffer	out;

	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	te_buffer_init(r, &out, text.len);
	for (at = text.u.str; at < end;)
	{
		const char *start = at;
		uint32		character = te_utf8_next(&at, end);

		if (is_word_character(character))
		{
			append_character(r, &out, inside ? u_tolower(character) : u_totitle(character));
			inside = true;
		}
		else
		{
			te_buffer_append(r, &out, start, at - start);
			inside = inside && (character == '\'' || character == 0x2019);
		}
	}
	return te_buffer_value(&out);
}

/*
 * Whether a character stays in a slug.
 */
static bool
stays_in_slug(uint32 character, SlugMode mode)
{
	switch (mode)
	{
		case SLUG_RAW:
			return !u_isUWhiteSpace(character);
		case SLUG_DEFAULT:
			return is_word_character(character);
		case SLUG_PRETTY:
			return is_word_character(character) || (character < 0x80 && character != 0 &&
													strchr("._~!$&'()+,;=@", character) != NULL);
		case SLUG_ASCII:
		case SLUG_LATIN:
			break;
	}
	return character < 0x80 && u_isalnum(character);
}

/*
 * slugify: lower case, and one hyphen for every run of characters that do not stay in
 * the given mode.
 */
static TeValue
filter_slugify(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	SlugMode	mode = SLUG_DEFAULT;
	const char *end = text.u.str + text.len;
	const char *at;
	bool		hyphen = false;
	TeBuffer	out;

	if (args->count > 0)
	{
		TeValue		name = te_value_text(r, args->values[0]);

		for (mode = 0; mode < lengthof(slug_modes); mode++)
			if (name.len == strlen(slug_modes[mode]) && memcmp(name.u.str, slug_modes[mode], name.len) == 0)
				break;
		if (mode == lengthof(slug_modes))
			return te_filter_error(r, "slugify knows the modes raw, default, pretty, ascii and latin");
	}
	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	te_buffer_init(r, &out, text.len);
	for (at = text.u.str; at < end;)
	{
		uint32		character = te_utf8_next(&at, end);
		char		buffer[4];
		const char *plain = mode == SLUG_LATIN ? te_plain_letters(character, buffer) : NULL;

		if (plain == NULL && !stays_in_slug(character, mode))
		{
			hyphen = true;
			continue;
		}
		if (hyphen && out.len > 0)
			te_buffer_char(r, &out, '-');
		hyphen = false;
		if (plain == NULL)
			append_character(r, &out, u_tolower(character));
		for (; plain != NULL && *plain != '\0'; plain++)
			append_character(r, &out, u_tolower(*plain));
	}
	return te_buffer_value(&out);
}

/*
 * pluralize: the first word for one, the second for any other number; without a second
 * one the first with an s. Languages with other forms are for the filter plural.
 */
static TeValue
filter_pluralize(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		number = te_number_of(r, input);
	TeBuffer	out;

	if (te_number_compare(r, number, TE_VALUE_INT(1)) == 0)
		return args->values[0];
	if (args->count > 1)
		return args->values[1];
	te_buffer_init(r, &out, 32);
	te_value_write(r, &out, args->values[0]);
	te_buffer_char(r, &out, 's');
	return te_buffer_value(&out);
}

const TeFilter te_filters_text[] = {
	{"pluralize", filter_pluralize, 1, 2},
	{"slugify", filter_slugify, 0, 1},
	{"titlecase", filter_titlecase, 0, 0},
	{NULL}
};
