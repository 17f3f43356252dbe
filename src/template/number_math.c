/*
 * number_math.c
 *		Arithmetic as Liquid does it: whole numbers stay whole and divide downwards,
 *		everything else is exact decimal arithmetic that ends as a double.
 *
 * Both kinds have a fast way within 64 bits and fall back to numeric.
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "template/number.h"

/* Decimals of a quotient: more than any double shows. */
#define QUOTIENT_SCALE 60

typedef Datum (*NumericFunction) (PG_FUNCTION_ARGS);

static const int64 powers_of_ten[] = {
	INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000), INT64CONST(10000), INT64CONST(100000),
	INT64CONST(1000000), INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
	INT64CONST(10000000000), INT64CONST(100000000000), INT64CONST(1000000000000), INT64CONST(10000000000000),
	INT64CONST(100000000000000), INT64CONST(1000000000000000), INT64CONST(10000000000000000),
	INT64CONST(100000000000000000), INT64CONST(1000000000000000000)
};

#define LARGEST_POWER ((int) lengthof(powers_of_ten) - 1)

/*
 * Two palloc'ed numerics, or numbers that are numerics, through a function; the result
 * is palloc'ed.
 */
static Numeric
apply(NumericFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * The sign of a numeric: -1, 0 or 1.
 */
static int
numeric_sign_of(Numeric a)
{
	Numeric		zero = int64_to_numeric(0);
	int			order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(zero)));

	pfree(zero);
	return order;
}

/*
 * A palloc'ed numeric as the result of an operation: whole, or a double. Frees it.
 */
static TeValue
finish(TeRender *r, Numeric numeric, bool whole)
{
	TeValue		value = {.kind = TE_DECIMAL,.u.decimal = numeric};
	double		number;

	if (whole)
		return te_number_keep(r, numeric);
	number = te_number_double(r, value);
	pfree(numeric);
	return TE_VALUE_FLOAT(number);
}

/*
 * True for numbers below zero, -0.0 too.
 */
static bool
is_negative(TeRender *r, TeValue number)
{
	if (number.kind == TE_FLOAT)
		return signbit(number.u.number) != 0;
	return te_number_compare(r, number, TE_VALUE_INT(0)) < 0;
}

/*
 * A zero with a sign.
 */
static inline TeValue
signed_zero(bool negative)
{
	return TE_VALUE_FLOAT(negative ? -0.0 : 0.0);
}

/*
 * A decimal as a double; zero as the sum of two zeros, where it comes from such.
 */
static TeValue
sum_of(TeRender *r, const TeDecimal *sum, TeValue a, TeValue b)
{
	if (sum->digits == 0 && te_number_double(r, a) == 0)
		return TE_VALUE_FLOAT(te_number_double(r, a) + te_number_double(r, b));
	return TE_VALUE_FLOAT(te_decimal_double(sum));
}

/*
 * True for a double that is infinite or not a number.
 */
static inline bool
is_wild(TeValue number)
{
	return number.kind == TE_FLOAT && !isfinite(number.u.number);
}

/*
 * A number as a decimal of 64 bits, if it fits.
 */
static inline bool
to_decimal(TeValue number, TeDecimal *decimal)
{
	if (number.kind == TE_INT)
	{
		decimal->digits = number.u.integer;
		decimal->scale = 0;
		return true;
	}
	return number.kind == TE_FLOAT && te_decimal_of_double(number.u.number, decimal);
}

/*
 * Brings a decimal to more decimals, if it fits then.
 */
static inline bool
rescale(TeDecimal *decimal, int scale)
{
	int			more = scale - decimal->scale;

	decimal->scale = scale;
	return more == 0 ||
		(more <= LARGEST_POWER && !pg_mul_s64_overflow(decimal->digits, powers_of_ten[more], &decimal->digits));
}

/*
 * Two numbers as decimals of equal scale, if that fits.
 */
static inline bool
to_decimals(TeValue a, TeValue b, TeDecimal *x, TeDecimal *y)
{
	if (!to_decimal(a, x) || !to_decimal(b, y))
		return false;
	return x->scale < y->scale ? rescale(x, y->scale) : rescale(y, x->scale);
}

/*
 * Two numbers through a function of numerics. Throws when they have too many digits.
 */
static TeValue
through_numeric(TeRender *r, NumericFunction function, TeValue a, TeValue b)
{
	Numeric		x = te_number_numeric(a);
	Numeric		y = te_number_numeric(b);
	Numeric		result = apply(function, x, y);

	if (a.kind != TE_DECIMAL)
		pfree(x);
	if (b.kind != TE_DECIMAL)
		pfree(y);
	return finish(r, result, te_number_is_whole(a) && te_number_is_whole(b));
}

/*
 * a + b.
 */
TeValue
te_number_add(TeRender *r, TeValue a, TeValue b)
{
	TeDecimal	x,
				y;
	int64		sum;

	if (a.kind == TE_INT && b.kind == TE_INT)
	{
		if (!pg_add_s64_overflow(a.u.integer, b.u.integer, &sum))
			return TE_VALUE_INT(sum);
	}
	else if (is_wild(a) || is_wild(b))
		return TE_VALUE_FLOAT(te_number_double(r, a) + te_number_double(r, b));
	else if (to_decimals(a, b, &x, &y) && !pg_add_s64_overflow(x.digits, y.digits, &x.digits))
		return sum_of(r, &x, a, b);
	return through_numeric(r, numeric_add, a, b);
}

/*
 * a - b.
 */
TeValue
te_number_subtract(TeRender *r, TeValue a, TeValue b)
{
	TeDecimal	x,
				y;
	int64		difference;

	if (a.kind == TE_INT && b.kind == TE_INT)
	{
		if (!pg_sub_s64_overflow(a.u.integer, b.u.integer, &difference))
			return TE_VALUE_INT(difference);
	}
	else if (is_wild(a) || is_wild(b))
		return TE_VALUE_FLOAT(te_number_double(r, a) - te_number_double(r, b));
	else if (to_decimals(a, b, &x, &y) && !pg_sub_s64_overflow(x.digits, y.digits, &x.digits))
		return sum_of(r, &x, a, TE_VALUE_FLOAT(-te_number_double(r, b)));
	return through_numeric(r, numeric_sub, a, b);
}

/*
 * a * b.
 */
TeValue
te_number_multiply(TeRender *r, TeValue a, TeValue b)
{
	TeDecimal	x,
				y;
	int64		product;

	if (a.kind == TE_INT && b.kind == TE_INT)
	{
		if (!pg_mul_s64_overflow(a.u.integer, b.u.integer, &product))
			return TE_VALUE_INT(product);
	}
	else if (is_wild(a) || is_wild(b))
		return TE_VALUE_FLOAT(te_number_double(r, a) * te_number_double(r, b));
	else if (to_decimal(a, &x) && to_decimal(b, &y) && !pg_mul_s64_overflow(x.digits, y.digits, &x.digits))
	{
		if (x.digits == 0)
			return signed_zero(is_negative(r, a) != is_negative(r, b));
		x.scale += y.scale;
		return TE_VALUE_FLOAT(te_decimal_double(&x));
	}
	return through_numeric(r, numeric_mul, a, b);
}

/*
 * True for 0 and 0.0.
 */
static bool
is_zero(TeRender *r, TeValue number)
{
	return !te_number_is_nan(number) && te_number_compare(r, number, TE_VALUE_INT(0)) == 0;
}

/*
 * The quotient of two whole numbers, rounded down, by numeric.
 */
static TeValue
divide_whole(TeRender *r, TeValue a, TeValue b)
{
	Numeric		x = te_number_numeric(a);
	Numeric		y = te_number_numeric(b);
	Numeric		quotient = apply(numeric_div_trunc, x, y);
	Numeric		rest = apply(numeric_mod, x, y);

	if (numeric_sign_of(rest) * numeric_sign_of(y) < 0)
	{
		Numeric		one = int64_to_numeric(1);
		Numeric		lower = apply(numeric_sub, quotient, one);

		pfree(one);
		pfree(quotient);
		quotient = lower;
	}
	pfree(rest);
	return finish(r, quotient, true);
}

/*
 * a / b, where not both are whole, by numeric with decimals enough for a double.
 */
static TeValue
divide_decimal(TeRender *r, TeValue a, TeValue b)
{
	Numeric		x = te_number_numeric(a);
	Numeric		y = te_number_numeric(b);
	Numeric		wide = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(x),
														   Int32GetDatum(QUOTIENT_SCALE)));
	Numeric		quotient = apply(numeric_div, wide, y);

	pfree(wide);
	return finish(r, quotient, false);
}

/*
 * a / b: whole numbers give a whole number, rounded down, and TE_ERROR when b is 0;
 * others by 0 are infinite.
 */
TeValue
te_number_divide(TeRender *r, TeValue a, TeValue b)
{
	TeDecimal	x,
				y;

	if (is_zero(r, b))
	{
		if (te_number_is_whole(a) && te_number_is_whole(b))
			return te_filter_error(r, "divided by 0");
		return TE_VALUE_FLOAT(te_number_double(r, a) / te_number_double(r, b));
	}
	if (a.kind == TE_INT && b.kind == TE_INT)
	{
		int64		quotient;

		if (b.u.integer != -1)
		{
			quotient = a.u.integer / b.u.integer;
			if (a.u.integer % b.u.integer != 0 && (a.u.integer < 0) != (b.u.integer < 0))
				quotient--;
			return TE_VALUE_INT(quotient);
		}
		if (a.u.integer != PG_INT64_MIN)
			return TE_VALUE_INT(-a.u.integer);
	}
	if (te_number_is_whole(a) && te_number_is_whole(b))
		return divide_whole(r, a, b);
	if (is_wild(a) || is_wild(b))
		return TE_VALUE_FLOAT(te_number_double(r, a) / te_number_double(r, b));
	if (is_zero(r, a))
		return signed_zero(is_negative(r, a) != is_negative(r, b));
	/* two exact doubles divide to the nearest double */
	if (to_decimals(a, b, &x, &y) &&
		Abs(x.digits) <= (INT64CONST(1) << 53) && Abs(y.digits) <= (INT64CONST(1) << 53))
		return TE_VALUE_FLOAT((double) x.digits / (double) y.digits);
	return divide_decimal(r, a, b);
}

/*
 * What is left of a after division by b rounded down: it has the sign of b. TE_ERROR
 * when b is 0.
 */
TeValue
te_number_modulo(TeRender *r, TeValue a, TeValue b)
{
	bool		whole = te_number_is_whole(a) && te_number_is_whole(b);
	TeDecimal	x,
				y;
	Numeric		n,
				m,
				rest;

	if (is_zero(r, b))
		return te_filter_error(r, "divided by 0");
	if (is_wild(a) || is_wild(b))
		return TE_VALUE_FLOAT(fmod(te_number_double(r, a), te_number_double(r, b)));
	if (to_decimals(a, b, &x, &y))
	{
		int64		left = y.digits == -1 ? 0 : x.digits % y.digits;

		if (left != 0 && (left < 0) != (y.digits < 0))
			left += y.digits;
		if (whole)
			return TE_VALUE_INT(left);
		x.digits = left;
		return TE_VALUE_FLOAT(te_decimal_double(&x));
	}
	n = te_number_numeric(a);
	m = te_number_numeric(b);
	rest = apply(numeric_mod, n, m);
	if (numeric_sign_of(rest) * numeric_sign_of(m) < 0)
	{
		Numeric		positive = apply(numeric_add, rest, m);

		pfree(rest);
		rest = positive;
	}
	return finish(r, rest, whole);
}

/* ---- rounding ---- */

/*
 * The error of rounding what is infinite or not a number.
 */
static TeValue
no_number(TeRender *r, double number)
{
	if (isnan(number))
		return te_filter_error(r, "Computation results in 'NaN' (Not a Number)");
	return te_filter_error(r, "Computation results in '%sInfinity'", number < 0 ? "-" : "");
}

/*
 * A number through a function of one numeric that gives a whole one.
 */
static TeValue
whole_by_numeric(TeRender *r, PGFunction function, TeValue a)
{
	Numeric		n = te_number_numeric(a);
	Numeric		result = DatumGetNumeric(DirectFunctionCall1(function, NumericGetDatum(n)));

	return te_number_keep(r, result);
}

/*
 * The largest whole number that is not above a.
 */
TeValue
te_number_floor(TeRender *r, TeValue a)
{
	double		number;

	if (te_number_is_whole(a))
		return a;
	if (is_wild(a))
		return no_number(r, a.u.number);
	number = floor(te_number_double(r, a));
	if (a.kind == TE_FLOAT && fabs(number) < 1e15)
		return TE_VALUE_INT((int64) number);
	return whole_by_numeric(r, numeric_floor, a);
}

/*
 * The smallest whole number that is not below a.
 */
TeValue
te_number_ceil(TeRender *r, TeValue a)
{
	double		number;

	if (te_number_is_whole(a))
		return a;
	if (is_wild(a))
		return no_number(r, a.u.number);
	number = ceil(te_number_double(r, a));
	if (a.kind == TE_FLOAT && fabs(number) < 1e15)
		return TE_VALUE_INT((int64) number);
	return whole_by_numeric(r, numeric_ceil, a);
}

/*
 * A number rounded to so many decimals, or with places below 0 to tens, hundreds and so
 * on; half goes away from zero. Whole unless places is above 0 and a is not.
 */
TeValue
te_number_round(TeRender *r, TeValue a, int64 places)
{
	bool		whole = te_number_is_whole(a) || places <= 0;
	TeDecimal	decimal;
	Numeric		n;

	if (is_wild(a))
		return no_number(r, a.u.number);
	if (te_number_is_whole(a) && places >= 0)
		return a;
	places = Max(places, -TE_NUMBER_DIGITS - 1);
	if (to_decimal(a, &decimal))
	{
		int			drop = (int) Min(decimal.scale - places, LARGEST_POWER + 1);

		if (drop <= 0)
			return whole ? TE_VALUE_INT(decimal.digits) : a;
		if (drop <= LARGEST_POWER)
		{
			int64		unit = powers_of_ten[drop];
			int64		rest = decimal.digits % unit;

			decimal.digits /= unit;
			if (Abs(rest) >= unit - Abs(rest))
				decimal.digits += rest < 0 ? -1 : 1;
			decimal.scale = (int) places;
			if (places > 0)
				return TE_VALUE_FLOAT(te_decimal_double(&decimal));
			if (-places <= LARGEST_POWER &&
				!pg_mul_s64_overflow(decimal.digits, powers_of_ten[-places], &decimal.digits))
				return TE_VALUE_INT(decimal.digits);
		}
	}
	n = te_number_numeric(a);
	return finish(r, DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(n),
														 Int32GetDatum((int32) Min(places, TE_NUMBER_DIGITS)))),
				  whole);
}
