/*
 * number.c
 *		Values of SQL types as doubles.
 *
 * The server turns a numeric into a double by way of its decimal text. Most numerics
 * have few digits, and then one multiplication or division of two numbers that are
 * exact gives the same, correctly rounded result (Clinger 1990) in a twentieth of the
 * time. The layout read here is the one on disk, which pg_upgrade keeps.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "score/score.h"

#define SIGN_MASK 0xC000
#define SIGN_NEGATIVE 0x4000
#define FORM_SHORT 0x8000
#define FORM_SPECIAL 0xC000
#define SHORT_NEGATIVE 0x2000
#define SHORT_WEIGHT_NEGATIVE 0x0040
#define SHORT_WEIGHT_MASK 0x003F
#define DIGIT_BASE 10000

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * A numeric as a double, correctly rounded; NaN and infinities stay what they are. The
 * value must not be packed or compressed. Throws when it is too large for a double.
 */
double
te_score_numeric(Numeric value)
{
	const uint16 *words = (const uint16 *) VARDATA(value);
	int			nwords = (VARSIZE(value) - VARHDRSZ) / sizeof(uint16);
	uint16		header = words[0];
	uint64		digits = 0;
	bool		negative;
	int			weight,
				first,
				exponent,
				i;

	if ((header & SIGN_MASK) == FORM_SPECIAL)
		return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value)));
	if ((header & SIGN_MASK) == FORM_SHORT)
	{
		negative = (header & SHORT_NEGATIVE) != 0;
		weight = header & SHORT_WEIGHT_MASK;
		if (header & SHORT_WEIGHT_NEGATIVE)
			weight |= ~SHORT_WEIGHT_MASK;
		first = 1;
	}
	else
	{
		negative = (header & SIGN_MASK) == SIGN_NEGATIVE;
		weight = (int16) words[1];
		first = 2;
	}
	if (nwords == first)
		return 0;
	exponent = 4 * (weight - (nwords - first) + 1);
	if (nwords - first <= 4)
	{
		for (i = first; i < nwords; i++)
			digits = digits * DIGIT_BASE + words[i];
		if (digits <= UINT64CONST(1) << 53 && exponent >= -22 && exponent <= 22)
		{
			double		result = exponent < 0 ? digits / powers_of_ten[-exponent] : digits * powers_of_ten[exponent];

			return negative ? -result : result;
		}
	}
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value)));
}

/*
 * Whether te_score_number() knows the type. Looks domains up.
 */
bool
te_score_is_number(Oid type)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return true;
		default:
			return false;
	}
}

/*
 * A value as a double: true is 1, false 0. The type must be a base type that
 * te_score_is_number() accepts. May allocate in the current context.
 */
double
te_score_number(Datum value, Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return DatumGetBool(value) ? 1 : 0;
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		case FLOAT4OID:
			return DatumGetFloat4(value);
		case FLOAT8OID:
			return DatumGetFloat8(value);
		case NUMERICOID:
			return te_score_numeric(DatumGetNumeric(value));
		default:
			elog(ERROR, "type %u is not a number", type);
			return 0;			/* keep the compiler quiet */
	}
}
