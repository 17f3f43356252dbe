/*
 * sms.h
 *		What a text costs as SMS, and what can be done about it.
 */
#pragma once

#include "postgres.h"

/* How a text is sent. */
typedef struct TeSms
{
	bool		gsm7;			/* else UCS-2 */
	int			units;			/* septets, or UTF-16 units */
	int			segments;		/* 0 of an empty text */
	int			others;			/* characters outside of GSM-7 */
	uint32		first_other;	/* the first of them */
} TeSms;

extern void te_sms_measure(const char *text, int len, TeSms *result);
extern int	te_gsm7_septets(uint32 character);	/* 0: not in the alphabet */

/* ASCII letters for a Latin one, as "ae" for U+00E6; NULL if it is none or ASCII itself */
extern const char *te_plain_letters(uint32 character, char buffer[4]);

/* what stands in for a character outside of GSM-7; NULL: nothing does */
extern const char *te_gsm7_instead(uint32 character, char buffer[4]);

/* The character at the given place, which is moved on; a malformed byte is U+FFFD. */
static inline uint32
te_utf8_next(const char **at, const char *end)
{
	const unsigned char *c = (const unsigned char *) *at;
	int			more;
	uint32		result;
	int			i;

	(*at)++;
	if (c[0] < 0x80)
		return c[0];
	if (c[0] >= 0xC2 && c[0] <= 0xDF)
	{
		more = 1;
		result = c[0] & 0x1F;
	}
	else if (c[0] >= 0xE0 && c[0] <= 0xEF)
	{
		more = 2;
		result = c[0] & 0x0F;
	}
	else if (c[0] >= 0xF0 && c[0] <= 0xF4)
	{
		more = 3;
		result = c[0] & 0x07;
	}
	else
		return 0xFFFD;
	if (end - (const char *) c <= more)
		return 0xFFFD;
	for (i = 1; i <= more; i++)
	{
		if ((c[i] & 0xC0) != 0x80)
			return 0xFFFD;
		result = result << 6 | (c[i] & 0x3F);
	}
	*at += more;
	return result;
}

/* Writes a character in UTF-8; returns its bytes. */
static inline int
te_utf8_write(uint32 character, char out[4])
{
	if (character < 0x80)
	{
		out[0] = character;
		return 1;
	}
	if (character < 0x800)
	{
		out[0] = 0xC0 | character >> 6;
		out[1] = 0x80 | (character & 0x3F);
		return 2;
	}
	if (character < 0x10000)
	{
		out[0] = 0xE0 | character >> 12;
		out[1] = 0x80 | (character >> 6 & 0x3F);
		out[2] = 0x80 | (character & 0x3F);
		return 3;
	}
	out[0] = 0xF0 | character >> 18;
	out[1] = 0x80 | (character >> 12 & 0x3F);
	out[2] = 0x80 | (character >> 6 & 0x3F);
	out[3] = 0x80 | (character & 0x3F);
	return 4;
}
