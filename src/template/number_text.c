/*
 * number_text.c
 *		Numbers from text, as literals and as filters take them, and to text as Ruby
 *		prints them.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/int.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "template/number.h"

/* ---- from text ---- */

/*
 * True for white space as Ruby strips it.
 */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * A text of an optional sign and digits, and if decimals is set a point and digits:
 * as a double when that keeps all digits, else as numeric. Underscores between
 * digits are passed over when underscores is set.
 */
static TeValue
number_of_digits(TeRender *r, const char *text, int len, bool decimals)
{
	TeDecimal	decimal = {0, 0};
	bool		negative = len > 0 && *text == '-';
	bool		point = false;
	char	   *copy;
	TeValue		result;
	int			used = 0;
	int			i;

	for (i = 0; i < len && decimal.digits < TE_SAFE_DIGITS / 10 && decimal.scale < TE_EXACT_POWERS; i++)
	{
		if (text[i] == '.')
			point = true;
		else if (text[i] >= '0' && text[i] <= '9')
		{
			decimal.digits = decimal.digits * 10 + (text[i] - '0');
			decimal.scale += point;
		}
	}
	if (i == len)
	{
		if (negative)
			decimal.digits = -decimal.digits;
		if (!decimals)
			return TE_VALUE_INT(decimal.digits);
		return TE_VALUE_FLOAT(negative && decimal.digits == 0 ? -0.0 : te_decimal_double(&decimal));
	}
	if (len > 2 * TE_NUMBER_DIGITS)
		te_number_limit();
	copy = palloc(len + 1);
	for (i = 0; i < len; i++)
		if (text[i] != '_')
			copy[used++] = text[i];
	copy[used] = '\0';
	if (used > TE_NUMBER_DIGITS)
		te_number_limit();
	if (decimals)
		result = (TeValue) {.kind = TE_DECIMAL,.u.decimal = te_number_numeric_of_text(copy)};
	else
		result = te_number_from_numeric(te_number_numeric_of_text(copy));
	pfree(copy);
	if (result.kind == TE_DECIMAL && r != NULL)
	{
		Numeric		numeric = result.u.decimal;

		result.u.decimal = (Numeric) te_arena_copy(r, (const char *) numeric, VARSIZE_ANY(numeric));
		pfree(numeric);
	}
	return result;
}

/*
 * How long the number at the start of a text is: a sign (- only, or + too), digits
 * with, if underscores is set, single underscores between them; with a point only
 * where decimals is set and digits follow. 0 if there is none.
 */
static int
scan_number(const char *text, int len, bool plus, bool underscores, bool *decimals)
{
	int			i = 0;
	int			start;

	if (i < len && (text[i] == '-' || (plus && text[i] == '+')))
		i++;
	start = i;
	while (i < len && ((text[i] >= '0' && text[i] <= '9') ||
					   (underscores && text[i] == '_' && i > start && text[i - 1] != '_' &&
						i + 1 < len && text[i + 1] >= '0' && text[i + 1] <= '9')))
		i++;
	if (i == start)
		return 0;
	if (decimals != NULL)
	{
		int			end = i;

		*decimals = false;
		if (i < len && text[i] == '.')
		{
			for (i++; i < len && text[i] >= '0' && text[i] <= '9';)
				i++;
			*decimals = i > end + 1;
			if (!*decimals)
				i = end;
		}
	}
	return i;
}

/*
 * A literal, as 12 or -1.5; nil when the text is none. Without a render what needs
 * memory is palloc'ed. Throws when it has too many digits.
 */
TeValue
te_number_parse(TeRender *r, const char *text, int len)
{
	bool		decimals;
	int			used = scan_number(text, len, false, false, &decimals);
	TeValue		value;

	if (used == 0 || used != len)
		return TE_VALUE_NIL;
	value = number_of_digits(r, text, len, decimals);
	if (decimals && value.kind == TE_DECIMAL)
	{
		/* a literal is a float, whatever its digits */
		double		number = te_number_double(r, value);

		if (!isinf(number))
			return TE_VALUE_FLOAT(number);
	}
	return value;
}

/*
 * A value as a filter of numbers takes it: a decimal in text with all its digits, a
 * whole number at the start of a text, 0 if it is none.
 */
TeValue
te_number_of(TeRender *r, TeValue value)
{
	const char *text;
	int			len;
	int			used;
	bool		decimals;

	if (te_value_is_number(value))
		return value;
	if (value.kind != TE_STRING)
		return TE_VALUE_INT(0);
	text = value.u.str;
	len = value.len;
	while (len > 0 && is_space(*text))
	{
		text++;
		len--;
	}
	while (len > 0 && is_space(text[len - 1]))
		len--;
	used = scan_number(text, len, false, false, &decimals);
	if (used == len && used > 0 && decimals)
		return number_of_digits(r, text, len, true);
	used = scan_number(text, len, true, true, NULL);
	return used == 0 ? TE_VALUE_INT(0) : number_of_digits(r, text + (*text == '+'), used - (*text == '+'), false);
}

/*
 * The digits of a whole number in this base, single underscores between them: false
 * if there is anything else. What is beyond 64 bits becomes the nearest that is not.
 */
static bool
integer_of_digits(const char *text, int len, int base, bool negative, int64 *result)
{
	int64		value = 0;
	bool		over = false;
	bool		digit_before = false;
	int			i;

	if (len == 0 || text[len - 1] == '_')
		return false;
	for (i = 0; i < len; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) text[i]);
		int			digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;

		if (c == '_' && digit_before)
		{
			digit_before = false;
			continue;
		}
		if (digit >= base)
			return false;
		digit_before = true;
		over = over || pg_mul_s64_overflow(value, base, &value) || pg_sub_s64_overflow(value, digit, &value);
	}
	if (over || (!negative && value == PG_INT64_MIN))
		*result = negative ? PG_INT64_MIN : PG_INT64_MAX;
	else
		*result = negative ? value : -value;
	return true;
}

/*
 * A whole number from a value, of text too (with the prefixes of other bases that
 * Ruby knows); false when it is none. What is beyond 64 bits becomes the nearest that
 * is not.
 */
bool
te_number_integer(TeRender *r, TeValue value, int64 *result)
{
	const char *text;
	const char *end;
	bool		negative = false;
	int			base = 10;

	if (value.kind == TE_INT)
	{
		*result = value.u.integer;
		return true;
	}
	if (value.kind == TE_DECIMAL && te_number_is_whole(value))
	{
		*result = te_number_compare(r, value, TE_VALUE_INT(0)) < 0 ? PG_INT64_MIN : PG_INT64_MAX;
		return true;
	}
	if (value.kind != TE_STRING)
		return false;
	text = value.u.str;
	end = text + value.len;
	while (text < end && is_space(*text))
		text++;
	while (end > text && is_space(end[-1]))
		end--;
	if (text < end && (*text == '-' || *text == '+'))
		negative = *text++ == '-';
	if (end - text > 1 && *text == '0')
	{
		char		c = pg_ascii_tolower((unsigned char) text[1]);
		bool		prefix = c == 'x' || c == 'b' || c == 'o' || c == 'd';

		base = c == 'x' ? 16 : c == 'b' ? 2 : c == 'd' ? 10 : 8;
		text += prefix ? 2 : 1;
		if (!prefix && *text == '_')
			text++;
	}
	return integer_of_digits(text, (int) (end - text), base, negative, result);
}

/* ---- to text ---- */

/*
 * Appends a decimal, with one digit at least on either side of the point.
 */
static void
write_decimal(TeRender *r, TeBuffer *out, const TeDecimal *decimal, bool negative)
{
	char		text[48];
	char		digits[24];
	int			len = pg_lltoa(Abs(decimal->digits), digits);
	int			scale = decimal->scale;
	int			at = 0;

	if (negative)
		text[at++] = '-';
	if (len <= scale)
	{
		memset(text + at, '0', scale - len + 2);
		text[at + 1] = '.';
		at += scale - len + 2;
		memcpy(text + at, digits, len);
		at += len;
	}
	else
	{
		memcpy(text + at, digits, len - scale);
		at += len - scale;
		text[at++] = '.';
		memcpy(text + at, digits + len - scale, scale);
		at += scale;
		if (scale == 0)
			text[at++] = '0';
	}
	te_buffer_append(r, out, text, at);
}

/*
 * Appends a double beyond the usual size: its shortest digits, plain or with an
 * exponent as Ruby chooses.
 */
static void
write_wide_double(TeRender *r, TeBuffer *out, double number)
{
	char		c[DOUBLE_SHORTEST_DECIMAL_LEN];
	char		exponent[16];
	int			point;
	int			count = te_shortest_digits(number, c, &point);

	if (number < 0)
		te_buffer_char(r, out, '-');
	if (point > 0 && point < count)
	{
		te_buffer_append(r, out, c, point);
		te_buffer_char(r, out, '.');
		te_buffer_append(r, out, c + point, count - point);
	}
	else if (point > 0 && point <= DBL_DIG)
	{
		te_buffer_append(r, out, c, count);
		te_buffer_append(r, out, "0000000000000000", point - count);
		te_buffer_append(r, out, ".0", 2);
	}
	else if (point > -4 && point <= 0)
	{
		te_buffer_append(r, out, "0.000", 2 - point);
		te_buffer_append(r, out, c, count);
	}
	else
	{
		te_buffer_append(r, out, c, 1);
		te_buffer_char(r, out, '.');
		if (count > 1)
			te_buffer_append(r, out, c + 1, count - 1);
		else
			te_buffer_char(r, out, '0');
		snprintf(exponent, sizeof(exponent), "e%+03d", point - 1);
		te_buffer_append(r, out, exponent, (int) strlen(exponent));
	}
}

/*
 * Appends a double as Ruby prints it.
 */
static void
write_double(TeRender *r, TeBuffer *out, double number)
{
	TeDecimal	decimal;

	if (isnan(number))
		te_buffer_append(r, out, "NaN", 3);
	else if (isinf(number))
		te_buffer_append(r, out, number < 0 ? "-Infinity" : "Infinity", number < 0 ? 9 : 8);
	else if ((fabs(number) >= 0.0001 || number == 0) && te_decimal_of_double(number, &decimal))
		write_decimal(r, out, &decimal, signbit(number) != 0);
	else
		write_wide_double(r, out, number);
}

/*
 * Appends a number's text. Throws when it has too many digits.
 */
void
te_number_write(TeRender *r, TeBuffer *out, TeValue number)
{
	char		text[24];
	char	   *digits;
	int			len;

	switch (number.kind)
	{
		case TE_INT:
			te_buffer_append(r, out, text, pg_lltoa(number.u.integer, text));
			break;
		case TE_FLOAT:
			write_double(r, out, number.u.number);
			break;
		case TE_DECIMAL:
			te_number_check_digits(number.u.decimal);
			digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number.u.decimal)));
			len = (int) strlen(digits);
			if (!te_number_is_whole(number))
				while (digits[len - 1] == '0' && digits[len - 2] != '.')
					len--;
			te_buffer_append(r, out, digits, len);
			pfree(digits);
			break;
		default:
			break;
	}
}
