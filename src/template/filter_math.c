/*
 * filter_math.c
 *		Filters of numbers. Texts count as the number they begin with, what is no number
 *		as 0; decimals are exact.
 */
#include "postgres.h"

#include <math.h>

#include "template/liquid.h"

/*
 * The first argument as a number.
 */
static inline TeValue
operand(TeRender *r, const TeArgs *args)
{
	return te_number_of(r, args->values[0]);
}

/*
 * A number as a result: decimals of any length become a double.
 */
static TeValue
result_of(TeRender *r, TeValue number)
{
	double		nearest;

	if (number.kind != TE_DECIMAL || te_number_is_whole(number))
		return number;
	nearest = te_number_double(r, number);
	return isinf(nearest) ? number : TE_VALUE_FLOAT(nearest);
}

/* plus: n */
static TeValue
filter_plus(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_add(r, te_number_of(r, input), operand(r, args));
}

/* minus: n */
static TeValue
filter_minus(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_subtract(r, te_number_of(r, input), operand(r, args));
}

/* times: n */
static TeValue
filter_times(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_multiply(r, te_number_of(r, input), operand(r, args));
}

/* divided_by: n; whole numbers give a whole number, rounded down */
static TeValue
filter_divided_by(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_divide(r, te_number_of(r, input), operand(r, args));
}

/* modulo: n; the result has the sign of n */
static TeValue
filter_modulo(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_modulo(r, te_number_of(r, input), operand(r, args));
}

/* abs */
static TeValue
filter_abs(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		number = te_number_of(r, input);

	if (number.kind == TE_FLOAT)
		return TE_VALUE_FLOAT(fabs(number.u.number));
	if (te_number_compare(r, number, TE_VALUE_INT(0)) < 0)
		number = te_number_subtract(r, TE_VALUE_INT(0), number);
	return result_of(r, number);
}

/* ceil */
static TeValue
filter_ceil(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_ceil(r, te_number_of(r, input));
}

/* floor */
static TeValue
filter_floor(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_number_floor(r, te_number_of(r, input));
}

/* round: places */
static TeValue
filter_round(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		places = args->count > 0 ? operand(r, args) : TE_VALUE_INT(0);
	int64		count = 0;

	if (places.kind == TE_FLOAT)
	{
		double		whole = trunc(places.u.number);

		/* what rounds to no decimals, and what is out of all proportion */
		count = !(whole > -100000) ? -100000 : whole > 100000 ? 100000 : (int64) whole;
	}
	else
		te_number_integer(r, places, &count);
	return result_of(r, te_number_round(r, te_number_of(r, input), count));
}

/* at_least: n */
static TeValue
filter_at_least(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		least = operand(r, args);
	TeValue		number = te_number_of(r, input);

	return result_of(r, te_number_compare(r, least, number) > 0 ? least : number);
}

/* at_most: n */
static TeValue
filter_at_most(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		most = operand(r, args);
	TeValue		number = te_number_of(r, input);

	return result_of(r, te_number_compare(r, most, number) < 0 ? most : number);
}

const TeFilter te_filters_math[] = {
	{"abs", filter_abs, 0, 0},
	{"at_least", filter_at_least, 1, 1},
	{"at_most", filter_at_most, 1, 1},
	{"ceil", filter_ceil, 0, 0},
	{"divided_by", filter_divided_by, 1, 1},
	{"floor", filter_floor, 0, 0},
	{"minus", filter_minus, 1, 1},
	{"modulo", filter_modulo, 1, 1},
	{"plus", filter_plus, 1, 1},
	{"round", filter_round, 0, 1},
	{"times", filter_times, 1, 1},
	{NULL}
};
