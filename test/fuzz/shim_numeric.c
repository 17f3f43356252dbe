/*
 * shim_numeric.c
 *		The server's type numeric in its stored form, with arithmetic by OpenSSL's big
 *		numbers.
 *
 * A number is a whole one and a count of decimals. Rounding is half away from zero.
 * What a function allocates from OpenSSL is freed before it returns or throws.
 */
#include "shim.h"

#include <openssl/bn.h>

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define BASE_DIGITS 4
#define MOST_DECIMALS 16383
#define MOST_DIGITS 131072

/* decimals of a quotient beyond those of its operands */
#define MORE_DECIMALS 20

typedef struct Decimal
{
	BIGNUM	   *digits;
	int			scale;
} Decimal;

/* ---- stored form ---- */

static Numeric
store(bool negative, const char *digits, int len, int scale)
{
	int			whole = len - scale;	/* digits before the point, may be negative */
	int			weight;
	int			pad;
	int			count;
	int			first = 0;
	int16	   *groups;
	char	   *result;
	int			i;

	/* so many zeros before, that groups of four end at the point */
	pad = ((-whole) % BASE_DIGITS + BASE_DIGITS) % BASE_DIGITS;
	weight = (whole + pad) / BASE_DIGITS - 1;
	count = (pad + len + BASE_DIGITS - 1) / BASE_DIGITS;
	groups = palloc0(sizeof(int16) * Max(count, 1));
	for (i = 0; i < count * BASE_DIGITS; i++)
	{
		int			at = i - pad;

		groups[i / BASE_DIGITS] = groups[i / BASE_DIGITS] * 10 + (at >= 0 && at < len ? digits[at] - '0' : 0);
	}
	while (count > 0 && groups[count - 1] == 0)
		count--;
	while (first < count && groups[first] == 0)
	{
		first++;
		weight--;
	}
	if (first == count)
	{
		weight = 0;
		negative = false;
	}
	count -= first;
	if (weight > MOST_DIGITS / BASE_DIGITS)
	{
		pfree(groups);
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("value overflows numeric format")));
	}
	if (scale <= 63 && weight >= -64 && weight <= 63)
	{
		result = palloc(VARHDRSZ + sizeof(uint16) + sizeof(int16) * count);
		SET_VARSIZE(result, VARHDRSZ + sizeof(uint16) + sizeof(int16) * count);
		*(uint16 *) (result + VARHDRSZ) = 0x8000 | (negative ? 0x2000 : 0) | scale << 7 | (weight & 0x7F);
		memcpy(result + VARHDRSZ + sizeof(uint16), groups + first, sizeof(int16) * count);
	}
	else
	{
		result = palloc(VARHDRSZ + 2 * sizeof(uint16) + sizeof(int16) * count);
		SET_VARSIZE(result, VARHDRSZ + 2 * sizeof(uint16) + sizeof(int16) * count);
		*(uint16 *) (result + VARHDRSZ) = (negative ? 0x4000 : 0) | scale;
		*(int16 *) (result + VARHDRSZ + sizeof(uint16)) = weight;
		memcpy(result + VARHDRSZ + 2 * sizeof(uint16), groups + first, sizeof(int16) * count);
	}
	pfree(groups);
	return (Numeric) result;
}

/* The text of a numeric, palloc'ed. */
static char *
text_of(Numeric numeric)
{
	const char *data = VARDATA(numeric);
	uint16		header = *(const uint16 *) data;
	bool		brief = (header & 0x8000) != 0;
	bool		negative = brief ? (header & 0x2000) != 0 : (header & 0x4000) != 0;
	int			scale = brief ? (header >> 7) & 0x3F : header & 0x3FFF;
	int			weight = brief ? (header & 0x3F) - (header & 0x40) : *(const int16 *) (data + 2);
	const int16 *groups = (const int16 *) (data + (brief ? 2 : 4));
	int			count = (VARSIZE(numeric) - VARHDRSZ - (brief ? 2 : 4)) / 2;
	char	   *text;
	char	   *at;
	int			i;

	if ((header & 0xC000) == 0xC000)
		shim_abort("numerics that are no numbers are not to be had here");
	text = palloc((Max(weight, 0) + 1) * BASE_DIGITS + scale + 8);
	at = text;
	if (negative)
		*at++ = '-';
	if (weight < 0)
		*at++ = '0';
	for (i = 0; i <= weight; i++)
		at += sprintf(at, i == 0 ? "%d" : "%04d", i < count ? groups[i] : 0);
	if (scale > 0)
	{
		*at++ = '.';
		for (i = 0; i < scale; i++)
		{
			int			group = weight + 1 + i / BASE_DIGITS;
			int			value = group >= 0 && group < count ? groups[group] : 0;
			static const int power[] = {1000, 100, 10, 1};

			*at++ = '0' + value / power[i % BASE_DIGITS] % 10;
		}
	}
	*at = '\0';
	return text;
}

static Decimal
decimal_of(Numeric numeric)
{
	char	   *text = text_of(numeric);
	char	   *point = strchr(text, '.');
	Decimal		decimal = {NULL, point ? (int) strlen(point + 1) : 0};

	if (point)
		memmove(point, point + 1, strlen(point));
	BN_dec2bn(&decimal.digits, text);
	pfree(text);
	return decimal;
}

/* Stores and frees a decimal. */
static Datum
finish(Decimal decimal)
{
	char	   *text = BN_bn2dec(decimal.digits);
	bool		negative = *text == '-';
	char	   *copy = pstrdup(text + negative);
	Numeric		result;

	OPENSSL_free(text);
	BN_free(decimal.digits);
	result = store(negative, copy, strlen(copy), decimal.scale);
	pfree(copy);
	return NumericGetDatum(result);
}

/* ---- arithmetic ---- */

/* Multiplies by a power of ten. */
static void
shift(Decimal *decimal, int scale)
{
	BN_CTX	   *context = BN_CTX_new();
	BIGNUM	   *power = BN_new();
	BIGNUM	   *exponent = BN_new();

	BN_set_word(power, 10);
	BN_set_word(exponent, scale - decimal->scale);
	BN_exp(power, power, exponent, context);
	BN_mul(decimal->digits, decimal->digits, power, context);
	decimal->scale = scale;
	BN_free(power);
	BN_free(exponent);
	BN_CTX_free(context);
}

/* Cuts decimals off: towards = 0 to zero, -1 down, 1 up, 2 to the nearest. */
static void
cut(Decimal *decimal, int scale, int towards)
{
	BN_CTX	   *context;
	BIGNUM	   *power,
			   *exponent,
			   *rest;
	bool		negative = BN_is_negative(decimal->digits);
	bool		away;

	if (scale >= decimal->scale)
	{
		shift(decimal, scale);
		return;
	}
	context = BN_CTX_new();
	power = BN_new();
	exponent = BN_new();
	rest = BN_new();
	BN_set_word(power, 10);
	BN_set_word(exponent, decimal->scale - scale);
	BN_exp(power, power, exponent, context);
	BN_div(decimal->digits, rest, decimal->digits, power, context);
	away = !BN_is_zero(rest) && (towards == (negative ? -1 : 1));
	if (towards == 2)
	{
		BN_lshift1(rest, rest);
		away = BN_ucmp(rest, power) >= 0;
	}
	if (away)
	{
		if (negative)
			BN_sub_word(decimal->digits, 1);
		else
			BN_add_word(decimal->digits, 1);
	}
	decimal->scale = scale;
	BN_free(power);
	BN_free(exponent);
	BN_free(rest);
	BN_CTX_free(context);
}

static void
align(Decimal *a, Decimal *b)
{
	int			scale = Max(a->scale, b->scale);

	shift(a, scale);
	shift(b, scale);
}

/* The two arguments of a function. */
static void
operands(FunctionCallInfo fcinfo, Decimal *a, Decimal *b)
{
	*a = decimal_of(PG_GETARG_NUMERIC(0));
	*b = decimal_of(PG_GETARG_NUMERIC(1));
}

Datum
numeric_add(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;

	operands(fcinfo, &a, &b);
	align(&a, &b);
	BN_add(a.digits, a.digits, b.digits);
	BN_free(b.digits);
	return finish(a);
}

Datum
numeric_sub(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;

	operands(fcinfo, &a, &b);
	align(&a, &b);
	BN_sub(a.digits, a.digits, b.digits);
	BN_free(b.digits);
	return finish(a);
}

Datum
numeric_mul(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;
	BN_CTX	   *context = BN_CTX_new();

	operands(fcinfo, &a, &b);
	BN_mul(a.digits, a.digits, b.digits, context);
	a.scale += b.scale;
	BN_free(b.digits);
	BN_CTX_free(context);
	cut(&a, Min(a.scale, MOST_DECIMALS), 2);
	return finish(a);
}

/* The quotient with so many decimals, rounded or cut off. */
static Datum
divide(Decimal a, Decimal b, int scale, int towards)
{
	BN_CTX	   *context;

	if (BN_is_zero(b.digits))
	{
		BN_free(a.digits);
		BN_free(b.digits);
		ereport(ERROR,
				(errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("division by zero")));
	}
	context = BN_CTX_new();
	shift(&a, Max(a.scale, scale + b.scale + 1));
	BN_div(a.digits, NULL, a.digits, b.digits, context);
	a.scale -= b.scale;
	BN_free(b.digits);
	BN_CTX_free(context);
	cut(&a, scale, towards);
	return finish(a);
}

Datum
numeric_div(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;

	operands(fcinfo, &a, &b);
	return divide(a, b, Max(a.scale, b.scale) + MORE_DECIMALS, 2);
}

Datum
numeric_div_trunc(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;

	operands(fcinfo, &a, &b);
	return divide(a, b, 0, 0);
}

Datum
numeric_mod(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;
	BN_CTX	   *context;

	operands(fcinfo, &a, &b);
	align(&a, &b);
	if (BN_is_zero(b.digits))
		return divide(a, b, 0, 0);
	context = BN_CTX_new();
	BN_div(NULL, a.digits, a.digits, b.digits, context);
	BN_free(b.digits);
	BN_CTX_free(context);
	return finish(a);
}

Datum
numeric_cmp(PG_FUNCTION_ARGS)
{
	Decimal		a,
				b;
	int			order;

	operands(fcinfo, &a, &b);
	align(&a, &b);
	order = BN_cmp(a.digits, b.digits);
	BN_free(a.digits);
	BN_free(b.digits);
	PG_RETURN_INT32(order);
}

static Datum
cut_argument(Numeric numeric, int scale, int towards)
{
	Decimal		decimal = decimal_of(numeric);

	if (scale < 0)
	{
		cut(&decimal, scale, towards);
		shift(&decimal, 0);
	}
	else
		cut(&decimal, Min(scale, MOST_DECIMALS), towards);
	return finish(decimal);
}

Datum
numeric_round(PG_FUNCTION_ARGS)
{
	return cut_argument(PG_GETARG_NUMERIC(0), Max(PG_GETARG_INT32(1), -MOST_DIGITS), 2);
}

Datum
numeric_trunc(PG_FUNCTION_ARGS)
{
	return cut_argument(PG_GETARG_NUMERIC(0), Max(PG_GETARG_INT32(1), -MOST_DIGITS), 0);
}

Datum
numeric_ceil(PG_FUNCTION_ARGS)
{
	return cut_argument(PG_GETARG_NUMERIC(0), 0, 1);
}

Datum
numeric_floor(PG_FUNCTION_ARGS)
{
	return cut_argument(PG_GETARG_NUMERIC(0), 0, -1);
}

/* ---- from and to text and integers ---- */

Numeric
int64_to_numeric(int64 value)
{
	char		text[32];
	int			len = snprintf(text, sizeof(text), INT64_FORMAT, value);

	return store(value < 0, text + (value < 0), len - (value < 0), 0);
}

Datum
numeric_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(text_of(PG_GETARG_NUMERIC(0)));
}

Datum
numeric_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	const char *c = text;
	bool		negative = *c == '-';
	char	   *digits = palloc(strlen(text) + 1);
	int			len = 0;
	int			scale = 0;
	long		exponent = 0;
	bool		point = false;

	if (*c == '-' || *c == '+')
		c++;
	for (; (*c >= '0' && *c <= '9') || (*c == '.' && !point); c++)
	{
		if (*c == '.')
			point = true;
		else
		{
			digits[len++] = *c;
			scale += point;
		}
	}
	if (len > 0 && (*c == 'e' || *c == 'E'))
	{
		char	   *end;

		exponent = strtol(c + 1, &end, 10);
		c = end;
	}
	if (len == 0 || *c != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("invalid input syntax for type numeric: \"%s\"", text)));
	if (exponent > MOST_DIGITS || exponent < -MOST_DECIMALS || scale - exponent > MOST_DECIMALS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("value overflows numeric format")));
	scale -= exponent;
	if (scale < 0)
	{
		digits = repalloc(digits, len - scale + 1);
		memset(digits + len, '0', -scale);
		len -= scale;
		scale = 0;
	}
	PG_RETURN_NUMERIC(store(negative, digits, len, scale));
}
