/*
 * number.h
 *		What the files of numbers share.
 */
#pragma once

#include "errors.h"
#include "template/liquid.h"

/* Numbers with more digits, on either side of the point, are refused. */
#define TE_NUMBER_DIGITS 1000

/* digits / 10 ^ scale */
typedef struct TeDecimal
{
	int64		digits;
	int			scale;
} TeDecimal;

/* Larger powers of ten are no exact doubles. */
#define TE_EXACT_POWERS 22

/* Decimals of so many digits survive a double. */
#define TE_SAFE_DIGITS INT64CONST(1000000000000000)

extern int	te_shortest_digits(double number, char *digits, int *point);
extern bool te_decimal_of_double(double number, TeDecimal *decimal);	/* false: does not fit */
extern double te_decimal_double(const TeDecimal *decimal);
extern Numeric te_number_numeric(TeValue number);	/* palloc'ed unless it is one */
extern Numeric te_number_numeric_of_text(const char *text); /* palloc'ed */
extern TeValue te_number_keep(TeRender *r, Numeric numeric);	/* frees it */
extern void te_number_check_digits(Numeric numeric);
extern void te_number_limit(void) pg_attribute_noreturn();
