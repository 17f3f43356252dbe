/*
 * icu_internal.h
 *		What the files that call ICU share.
 */
#pragma once

#include <unicode/utypes.h>
#include <unicode/ustring.h>

#include "template/locale.h"

/* What is kept of ICU. */
typedef enum TeIcuKind
{
	TE_ICU_NUMBER,				/* detail: a skeleton */
	TE_ICU_RULE_BASED,			/* detail: ordinal or spellout */
	TE_ICU_PLURAL,				/* detail: cardinal or ordinal */
	TE_ICU_DATE,				/* detail: =pattern, or two letters of styles */
	TE_ICU_PATTERNS,			/* best patterns for skeletons */
	TE_ICU_CALENDAR,
	TE_ICU_RELATIVE,			/* detail: a style */
	TE_ICU_LIST,				/* detail: type and width */
	TE_ICU_BREAK
} TeIcuKind;

/* longest skeleton, pattern or the like that is passed on to ICU */
#define TE_ICU_DETAIL 200

/* longest text of a number or date, in UTF-16 */
#define TE_ICU_RESULT 2048

typedef void *(*TeIcuOpen) (const char *locale, const char *detail, const char *zone, UErrorCode *status);
typedef void (*TeIcuClose) (void *object);

/*
 * An object of a kind for a normalised locale, opened unless it is kept. It stays
 * until three more of its kin have been asked for; NULL with status when it cannot
 * be opened. Never throws.
 */
extern void *te_icu_cached(TeIcuKind kind, const char *locale, const char *detail, const char *zone, UErrorCode *status);

extern void *te_icu_alloc(TeRender *r, Size size);
extern TeValue te_icu_failure(TeRender *r, const char *what, const char *detail, UErrorCode status);
extern UChar *te_icu_from_server(TeRender *r, const char *text, int len, int *ulen);
extern TeValue te_icu_to_server(TeRender *r, const UChar *text, int ulen);
extern int	te_icu_from_ascii(UChar *out, int size, const char *text);	/* -1: it does not fit */

/* icu_number.c */
extern void *te_icu_open_number(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_number(void *object);
extern void *te_icu_open_rule_based(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_rule_based(void *object);

/* icu_text.c */
extern void *te_icu_open_list(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_list(void *object);
extern void *te_icu_open_break(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_break(void *object);

/* icu_date.c */
extern void *te_icu_open_date(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_date(void *object);
extern void *te_icu_open_patterns(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_patterns(void *object);
extern void *te_icu_open_calendar(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_calendar(void *object);
extern void *te_icu_open_relative(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_relative(void *object);

/* plural.c */
extern void *te_icu_open_plural(const char *locale, const char *detail, const char *zone, UErrorCode *status);
extern void te_icu_close_plural(void *object);
