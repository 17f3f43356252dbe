/*
 * date_scan.h
 *		Steps over the text of a date, which is in lower case and ends with a zero byte.
 */
#pragma once

#include "template/date_text.h"

/* Part of the text; start is NULL where a form found none. */
typedef struct Span
{
	const char *start;
	int			len;
} Span;

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || IS_HIGHBIT_SET(c);
}

static inline bool
is_word(char c)
{
	return is_digit(c) || is_letter(c);
}

/*
 * True where a word begins or ends. The text ends with a zero byte, which is no word.
 */
static inline bool
is_boundary(const TeDateText *d, const char *at)
{
	return (at > d->text && is_word(at[-1])) != is_word(*at);
}

static inline const char *
skip_digits(const char *at)
{
	while (is_digit(*at))
		at++;
	return at;
}

static inline const char *
skip_spaces(const char *at)
{
	while (*at == ' ')
		at++;
	return at;
}

/*
 * Moves over everything but digits, spaces, zero and the characters in stop.
 */
static inline const char *
skip_other(const char *at, const char *stop)
{
	while (*at != '\0' && !is_digit(*at) && *at != ' ' && strchr(stop, *at) == NULL)
		at++;
	return at;
}

/*
 * What follows word, or NULL if it does not stand there.
 */
static inline const char *
skip_word(const char *at, const char *word)
{
	size_t		len = strlen(word);

	return strncmp(at, word, len) == 0 ? at + len : NULL;
}

/*
 * A number of digits, at most a year that no instant has.
 */
static inline int64
number_of(const char *at, const char *end)
{
	int64		number = 0;

	for (; at < end && is_digit(*at); at++)
		number = Min(number * 10 + (*at - '0'), INT64CONST(1000000000000));
	return number;
}

/*
 * A number with what may stand before it: an apostrophe, then signs. NULL if there is
 * no number.
 */
static inline const char *
scan_signed(const char *at, const char *signs, Span *span)
{
	span->start = at;
	if (*at == '\'')
		at++;
	if (*at != '\0' && strchr(signs, *at) != NULL)
		at++;
	if (!is_digit(*at))
		return NULL;
	at = skip_digits(at);
	span->len = (int) (at - span->start);
	return at;
}

/*
 * True for so many digits.
 */
static inline bool
has_digits(const char *at, int count)
{
	while (count-- > 0)
		if (!is_digit(*at++))
			return false;
	return true;
}

/* date_clock.c: forms, as in date_pattern.c */
extern bool te_date_clock(TeDateText *d, const char *at, const char **end);
extern bool te_date_block(TeDateText *d, const char *at, const char **end);
