/*
 * number.c
 *		Numbers: from jsonb, as decimals and numerics, and their order.
 *
 * A number is an int64, a double or a numeric. A double stands for its shortest
 * decimal, so that arithmetic on prices is exact (number_math.c). A numeric holds
 * whole numbers beyond 64 bits and decimals that a double would not keep.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/int.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "template/number.h"

/* Whole numbers below this are exact doubles. */
#define EXACT_WHOLE (INT64CONST(1) << 53)

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/* ---- numeric as it is stored ---- */

/*
 * The parts of a numeric: groups of four digits, the first of weight, so that the
 * value is the sum of digits[i] * 10000 ^ (weight - i). The stored form is the same
 * in all versions, since upgrades keep the files.
 */
typedef struct NumericParts
{
	bool		special;		/* infinite, or not a number */
	bool		negative;
	int			scale;			/* decimals to print */
	int			weight;
	int			count;
	const int16 *digits;
} NumericParts;

/*
 * Takes a numeric apart. Throws never.
 */
static inline NumericParts
numeric_parts(Numeric numeric)
{
	const char *data = VARDATA_ANY(numeric);
	int			size = VARSIZE_ANY_EXHDR(numeric);
	uint16		header = *(const uint16 *) data;
	NumericParts parts = {false};

	if ((header & 0xC000) == 0xC000)
	{
		parts.special = true;
		return parts;
	}
	if (header & 0x8000)
	{
		parts.negative = (header & 0x2000) != 0;
		parts.scale = (header & 0x1F80) >> 7;
		parts.weight = (header & 0x003F) - (header & 0x0040);
		data += sizeof(uint16);
		size -= sizeof(uint16);
	}
	else
	{
		parts.negative = (header & 0xC000) == 0x4000;
		parts.scale = header & 0x3FFF;
		parts.weight = *(const int16 *) (data + sizeof(uint16));
		data += 2 * sizeof(uint16);
		size -= 2 * sizeof(uint16);
	}
	parts.digits = (const int16 *) data;
	parts.count = size / (int) sizeof(int16);
	return parts;
}

/*
 * True, with its value, for a whole number within 64 bits.
 */
static bool
parts_to_int64(const NumericParts *parts, int64 *result)
{
	int64		value = 0;
	int			i;

	if (parts->weight > 4 || parts->count > Max(parts->weight + 1, 0))
		return false;
	for (i = 0; i <= parts->weight; i++)
		if (pg_mul_s64_overflow(value, 10000, &value) ||
			pg_sub_s64_overflow(value, i < parts->count ? parts->digits[i] : 0, &value))
			return false;
	if (!parts->negative && value == PG_INT64_MIN)
		return false;
	*result = parts->negative ? value : -value;
	return true;
}

/*
 * The double nearest to a numeric; infinite beyond the doubles. Throws only for want
 * of memory.
 */
static double
numeric_double(Numeric numeric, const NumericParts *parts)
{
	int			shift = 4 * (parts->weight - parts->count + 1);
	char	   *text;
	double		result;

	if (parts->count <= 4 && shift <= TE_EXACT_POWERS && shift >= -TE_EXACT_POWERS)
	{
		int64		whole = 0;
		int			i;

		for (i = 0; i < parts->count; i++)
			whole = whole * 10000 + parts->digits[i];
		if (whole < EXACT_WHOLE)
		{
			result = shift < 0 ? (double) whole / powers_of_ten[-shift] : (double) whole * powers_of_ten[shift];
			return parts->negative ? -result : result;
		}
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(numeric)));
	result = strtod(text, NULL);
	pfree(text);
	return result;
}

/*
 * The value of a numeric: an int64 if it is whole, a double if it has decimals,
 * itself if neither holds it.
 */
TeValue
te_number_from_numeric(Numeric numeric)
{
	NumericParts parts = numeric_parts(numeric);
	int64		integer;
	double		number;

	if (parts.special)
		return TE_VALUE_NIL;
	if (parts.scale == 0)
	{
		if (parts_to_int64(&parts, &integer))
			return TE_VALUE_INT(integer);
	}
	else
	{
		number = numeric_double(numeric, &parts);
		if (!isinf(number))
			return TE_VALUE_FLOAT(number);
	}
	return (TeValue) {.kind = TE_DECIMAL,.u.decimal = numeric};
}

/*
 * Throws when a numeric has too many digits to work with.
 */
void
te_number_check_digits(Numeric numeric)
{
	NumericParts parts = numeric_parts(numeric);

	if ((parts.weight + 1) * 4 > TE_NUMBER_DIGITS || parts.scale > TE_NUMBER_DIGITS)
		te_number_limit();
}

/*
 * Raises the error of numbers with too many digits.
 */
void
te_number_limit(void)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
			 errmsg("a number in the template has more than %d digits", TE_NUMBER_DIGITS)));
}

/* ---- decimals ---- */

/*
 * The shortest digits that read as a finite double that is not 0, without zeros at their
 * end, put where DOUBLE_SHORTEST_DECIMAL_LEN have room: their count, and how many stand
 * before the point. Where two texts are equally
 * near, the server's function avoids the shorter one; Ruby does not.
 */
int
te_shortest_digits(double number, char *digits, int *point)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			count;

	double_to_shortest_decimal_buf(fabs(number), text);
	do
	{
		const char *c = text;
		bool		behind = false;

		count = 0;
		*point = 0;
		for (; *c != '\0' && *c != 'e'; c++)
		{
			if (*c == '.')
				behind = true;
			else if (*c != '0' || count > 0)
			{
				digits[count++] = *c;
				*point += !behind;
			}
			else
				*point -= behind;
		}
		if (*c == 'e')
			*point += atoi(c + 1);
		while (count > 1 && digits[count - 1] == '0')
			count--;
		if (count <= DBL_DIG)
			break;
		snprintf(text, sizeof(text), "%.*e", count - 2, fabs(number));
	} while (strtod(text, NULL) == fabs(number));
	return count;
}

/*
 * The decimal that a double stands for: its shortest text as a whole number and a
 * count of decimals. False when these do not fit.
 */
bool
te_decimal_of_double(double number, TeDecimal *decimal)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	int64		digits = 0;
	int			count;
	int			point;
	int			i;

	if (fabs(number) >= (double) TE_SAFE_DIGITS)
		return false;

	/* what has few decimals is found by trying: a decimal of 15 digits is the only one near its double */
	for (i = 0; i <= 4; i++)
	{
		double		whole = rint(number * powers_of_ten[i]);

		if (fabs(whole) >= (double) TE_SAFE_DIGITS)
			break;
		if (whole / powers_of_ten[i] == number)
		{
			decimal->digits = (int64) whole;
			decimal->scale = i;
			return true;
		}
	}
	count = te_shortest_digits(number, text, &point);
	if (count < point || count - point > 18)
		return false;
	for (i = 0; i < count; i++)
		digits = digits * 10 + (text[i] - '0');
	decimal->digits = number < 0 ? -digits : digits;
	decimal->scale = count - point;
	return true;
}

/*
 * The double nearest to a decimal.
 */
double
te_decimal_double(const TeDecimal *decimal)
{
	char		text[64];

	if (decimal->digits < EXACT_WHOLE && decimal->digits > -EXACT_WHOLE && decimal->scale <= TE_EXACT_POWERS)
		return (double) decimal->digits / powers_of_ten[decimal->scale];
	snprintf(text, sizeof(text), INT64_FORMAT "e-%d", decimal->digits, decimal->scale);
	return strtod(text, NULL);
}

/*
 * The nearest double of a number; infinite beyond the doubles.
 */
double
te_number_double(TeRender *r, TeValue number)
{
	NumericParts parts;

	switch (number.kind)
	{
		case TE_INT:
			return (double) number.u.integer;
		case TE_FLOAT:
			return number.u.number;
		case TE_DECIMAL:
			parts = numeric_parts(number.u.decimal);
			return numeric_double(number.u.decimal, &parts);
		default:
			return 0;
	}
}

/*
 * True for numbers without decimals, as they are written: 1 is whole, 1.0 is not.
 */
bool
te_number_is_whole(TeValue number)
{
	return number.kind == TE_INT ||
		(number.kind == TE_DECIMAL && numeric_parts(number.u.decimal).scale == 0);
}

/*
 * How many bytes hold a whole number beyond 64 bits, by its nearest double.
 */
int
te_number_bytes(TeValue number)
{
	int			bits;

	(void) frexp(Min(fabs(te_number_double(NULL, number)), DBL_MAX), &bits);
	return (bits + 7) / 8;
}

/* ---- to numeric ---- */

/*
 * A numeric kept in the arena as a value, and the palloc'ed one freed. Without a
 * render it stays where it is.
 */
TeValue
te_number_keep(TeRender *r, Numeric numeric)
{
	TeValue		value;

	te_number_check_digits(numeric);
	value = te_number_from_numeric(numeric);
	if (r == NULL)
		return value;
	if (value.kind == TE_DECIMAL)
		value.u.decimal = (Numeric) te_arena_copy(r, (const char *) numeric, VARSIZE_ANY(numeric));
	pfree(numeric);
	return value;
}

/*
 * A text of digits as numeric, palloc'ed.
 */
Numeric
te_number_numeric_of_text(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/*
 * A number as numeric, palloc'ed unless it is one; a finite double by its shortest
 * decimal. Throws when it has too many digits.
 */
Numeric
te_number_numeric(TeValue number)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	switch (number.kind)
	{
		case TE_FLOAT:
			double_to_shortest_decimal_buf(number.u.number, text);
			return te_number_numeric_of_text(text);
		case TE_DECIMAL:
			te_number_check_digits(number.u.decimal);
			return number.u.decimal;
		default:
			return int64_to_numeric(number.kind == TE_INT ? number.u.integer : 0);
	}
}

/* ---- order ---- */

/*
 * The order of a whole number and a double that is a number.
 */
static int
compare_int_double(int64 a, double b)
{
	int64		whole;

	if (b >= 9223372036854775808.0)
		return -1;
	if (b < -9223372036854775808.0)
		return 1;
	whole = (int64) b;
	if (a != whole)
		return a < whole ? -1 : 1;
	return (b < (double) whole) - (b > (double) whole);
}

/*
 * The order of two numbers; what is not a number is equal to all.
 */
int
te_number_compare(TeRender *r, TeValue a, TeValue b)
{
	Numeric		x,
				y;
	int			order;

	if (a.kind == TE_INT && b.kind == TE_INT)
		return (a.u.integer > b.u.integer) - (a.u.integer < b.u.integer);
	if (a.kind == TE_FLOAT && b.kind == TE_FLOAT)
		return (a.u.number > b.u.number) - (a.u.number < b.u.number);
	if (a.kind == TE_INT && b.kind == TE_FLOAT)
		return compare_int_double(a.u.integer, b.u.number);
	if (a.kind == TE_FLOAT && b.kind == TE_INT)
		return -compare_int_double(b.u.integer, a.u.number);
	if (a.kind == TE_FLOAT && !isfinite(a.u.number))
		return a.u.number > 0 ? 1 : a.u.number < 0 ? -1 : 0;
	if (b.kind == TE_FLOAT && !isfinite(b.u.number))
		return b.u.number > 0 ? -1 : b.u.number < 0 ? 1 : 0;
	x = te_number_numeric(a);
	y = te_number_numeric(b);
	order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x), NumericGetDatum(y)));
	if (a.kind != TE_DECIMAL)
		pfree(x);
	if (b.kind != TE_DECIMAL)
		pfree(y);
	return order;
}
