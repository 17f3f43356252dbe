/*
 * date_text.h
 *		What date_text.c and date_pattern.c share: the parts of a date found in a text.
 */
#pragma once

#include "template/calendar.h"

/* Longer texts are no dates. */
#define TE_DATE_CHARACTERS 128
#define TE_DATE_BYTES (TE_DATE_CHARACTERS * 4)

/* The parts, in the order in which later ones are more exact. */
typedef enum TeDatePart
{
	TE_YEAR,
	TE_MONTH,
	TE_DAY,
	TE_HOUR,
	TE_MINUTE,
	TE_SECOND,
	TE_MICROS,
	TE_YEARDAY,
	TE_DATE_PARTS
} TeDatePart;

typedef struct TeDateText
{
	char		text[TE_DATE_BYTES + 1];	/* in lower case; what is found is taken out */
	int			len;
	uint32		found;			/* 1 << part */
	int64		parts[TE_DATE_PARTS];
	bool		whole_year;		/* not of two digits */
	bool		before_christ;
	char		zone[TE_DATE_BYTES + 1];	/* as written; empty if there was none */
} TeDateText;

static inline void
te_date_set(TeDateText *d, TeDatePart part, int64 value)
{
	d->found |= 1 << part;
	d->parts[part] = value;
}

static inline bool
te_date_has(const TeDateText *d, TeDatePart part)
{
	return (d->found & (1 << part)) != 0;
}

/* date_pattern.c */
extern void te_date_find(TeDateText *d);
