/*
 * special.c
 *		Normal, beta, gamma, t and chi-square distributions over libm.
 *
 * Sources: normal quantile, M. J. Wichura, algorithm AS 241, Applied Statistics 37
 * (1988), 477-484, PPND16. Powers of beta and gamma densities by the saddle-point
 * form of C. Loader, "Fast and Accurate Computation of Binomial Probabilities"
 * (2000), which keeps its relative accuracy where the terms of the textbook formula
 * are huge and cancel. Continued fractions of the incomplete beta and gamma
 * functions: NIST Digital Library of Mathematical Functions, 8.17.22 and 8.9.2,
 * evaluated by the method of Lentz. Checked against 40-digit arithmetic to a relative
 * error of 1e-12 (see test/sql/experiment_distributions.sql).
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"

#include "experiment/special.h"

#define LN_SQRT_2PI 0.918938533204672741780329736406
#define TWO_PI 6.283185307179586476925286766559
#define TINY 1e-300
#define MAX_TERMS 20000000

/* ---- normal ---- */

/*
 * Density of the standard normal distribution.
 */
double
te_special_normal_density(double x)
{
	return exp(-0.5 * x * x) / sqrt(TWO_PI);
}

/*
 * Its lower tail; the upper one is that of -x, without a loss.
 */
double
te_special_normal_cdf(double x)
{
	return 0.5 * erfc(-x * M_SQRT1_2);
}

/*
 * A polynomial with the coefficients in rising order.
 */
static double
polynomial(const double *coefficients, int count, double x)
{
	double		result = coefficients[count - 1];
	int			i;

	for (i = count - 2; i >= 0; i--)
		result = result * x + coefficients[i];
	return result;
}

/*
 * The x whose lower tail is p, for p in [0, 1]: AS 241.
 */
double
te_special_normal_quantile(double p)
{
	static const double center_top[] = {
		3.3871328727963666080e0, 133.14166789178437745, 1971.5909503065514427,
		13731.693765509461125, 45921.953931549871457, 67265.770927008700853,
		33430.575583588128105, 2509.0809287301226727};
	static const double center_bottom[] = {
		1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
		21213.794301586595867, 39307.895800092710610, 28729.085735721942674,
		5226.4952788528545610};
	static const double middle_top[] = {
		1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
		3.64784832476320460504, 1.27045825245236838258, 2.41780725177450611770e-1,
		2.27238449892691845833e-2, 7.74545014278341407640e-4};
	static const double middle_bottom[] = {
		1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
		1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
		1.05075007164441684324e-9};
	static const double tail_top[] = {
		6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
		2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
		2.71155556874348757815e-5, 2.01033439929228813265e-7};
	static const double tail_bottom[] = {
		1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
		7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
		2.04426310338993978564e-15};
	double		q = p - 0.5;
	double		r;
	double		x;

	if (p <= 0.0)
		return -INFINITY;
	if (p >= 1.0)
		return INFINITY;
	if (fabs(q) <= 0.425)
	{
		r = 0.180625 - q * q;
		return q * polynomial(center_top, 8, r) / polynomial(center_bottom, 8, r);
	}
	r = sqrt(-log(q < 0 ? p : 1.0 - p));
	if (r <= 5.0)
		x = polynomial(middle_top, 8, r - 1.6) / polynomial(middle_bottom, 8, r - 1.6);
	else
		x = polynomial(tail_top, 8, r - 5.0) / polynomial(tail_bottom, 8, r - 5.0);
	return q < 0 ? -x : x;
}

/* ---- powers without cancellation ---- */

/*
 * log(Gamma(n + 1)) less Stirling's formula for it, n > 0.
 */
static double
stirling_error(double n)
{
	double		nn;

	if (n <= 16.0)
		return lgamma(n + 1.0) - (n + 0.5) * log(n) + n - LN_SQRT_2PI;
	nn = n * n;
	return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - (1.0 / 1188
					- (691.0 / 360360) / nn) / nn) / nn) / nn) / nn) / n;
}

/*
 * x * log(x / m) + m - x for x, m > 0: the deviance of x from its mean m.
 */
static double
deviance(double x, double m)
{
	double		d = x - m;

	if (fabs(d) < 0.1 * (x + m))
	{
		double		v = d / (x + m);
		double		sum = d * v;
		double		term = 2.0 * x * v;
		int			j;

		for (j = 1; j < 1000; j++)
		{
			double		next;

			term *= v * v;
			next = sum + term / (2 * j + 1);
			if (next == sum)
				break;
			sum = next;
		}
		return sum;
	}
	return x * log(x / m) + m - x;
}

/*
 * x^a y^b / B(a, b) for x + y = 1.
 */
static double
beta_power(double a, double b, double x, double y)
{
	double		n = a + b;

	return a * b / n * sqrt(n / (TWO_PI * a * b))
		* exp(stirling_error(n) - stirling_error(a) - stirling_error(b)
			  - deviance(a, n * x) - deviance(b, n * y));
}

/*
 * x^a e^-x / Gamma(a + 1).
 */
static double
gamma_power(double a, double x)
{
	return exp(-stirling_error(a) - deviance(a, x)) / sqrt(TWO_PI * a);
}

/* ---- beta ---- */

/*
 * The continued fraction of the lower tail, for x below about the mean.
 */
static double
beta_fraction(double a, double b, double x)
{
	double		c = 1.0;
	double		d = 1.0 - (a + b) * x / (a + 1.0);
	double		result;
	int			m;

	if (fabs(d) < TINY)
		d = TINY;
	d = 1.0 / d;
	result = d;
	for (m = 1; m < MAX_TERMS; m++)
	{
		double		two_m = 2.0 * m;
		double		term = m * (b - m) * x / ((a + two_m - 1.0) * (a + two_m));
		double		step;

		d = 1.0 + term * d;
		c = 1.0 + term / c;
		if (fabs(d) < TINY)
			d = TINY;
		if (fabs(c) < TINY)
			c = TINY;
		d = 1.0 / d;
		result *= d * c;
		term = -(a + m) * (a + b + m) * x / ((a + two_m) * (a + two_m + 1.0));
		d = 1.0 + term * d;
		c = 1.0 + term / c;
		if (fabs(d) < TINY)
			d = TINY;
		if (fabs(c) < TINY)
			c = TINY;
		d = 1.0 / d;
		step = d * c;
		result *= step;
		if (fabs(step - 1.0) < 3e-16)
			break;
		if (m % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return result;
}

/*
 * Both tails of the beta distribution at x, whose complement y is passed as well so
 * that neither end loses digits.
 */
void
te_special_beta(double a, double b, double x, double y, double *lower, double *upper)
{
	if (x <= 0.0 || y <= 0.0)
	{
		*lower = x <= 0.0 ? 0.0 : 1.0;
		*upper = 1.0 - *lower;
	}
	else if (x > (a + 1.0) / (a + b + 2.0))
	{
		*upper = Min(beta_power(b, a, y, x) / b * beta_fraction(b, a, y), 1.0);
		*lower = 1.0 - *upper;
	}
	else
	{
		*lower = Min(beta_power(a, b, x, y) / a * beta_fraction(a, b, x), 1.0);
		*upper = 1.0 - *lower;
	}
}

/*
 * Density of the beta distribution within its bounds.
 */
double
te_special_beta_density(double a, double b, double x, double y)
{
	if (x <= 0.0 || y <= 0.0)
		return 0.0;
	return beta_power(a, b, x, y) / (x * y);
}

/*
 * The x whose lower tail is p = 1 - q, for a <= b: Newton's method for log(x) on the
 * logarithm of the smaller tail, held between bounds.
 */
static double
beta_quantile(double a, double b, double p, double q)
{
	double		low = -INFINITY;
	double		high = 0.0;
	double		s = log(a / (a + b));
	int			i;

	for (i = 0; i < 400; i++)
	{
		double		x = exp(s);
		double		y = -expm1(s);
		double		lower,
					upper,
					next;

		te_special_beta(a, b, x, y, &lower, &upper);
		if (p <= q ? lower > p : upper < q)
			high = s;
		else
			low = s;
		if (p <= q)
			next = s - log(lower / p) * lower * y / beta_power(a, b, x, y);
		else
			next = s + log(upper / q) * upper * y / beta_power(a, b, x, y);
		if (!(next > low && next < high))	/* also when it is no number */
			next = isinf(low) ? 2.0 * s - 1.0 : 0.5 * (low + high);
		if (next == s || fabs(next - s) < 1e-16 * fabs(s) || next < -745.0)
			return exp(next);
		s = next;
	}
	return exp(s);
}

/*
 * The x whose lower tail is p = 1 - q.
 */
double
te_special_beta_quantile(double a, double b, double p, double q)
{
	if (p <= 0.0)
		return 0.0;
	if (q <= 0.0)
		return 1.0;
	return a <= b ? beta_quantile(a, b, p, q) : 1.0 - beta_quantile(b, a, q, p);
}

/* ---- gamma ---- */

/*
 * Both tails of the gamma distribution of shape a: a series below the mean, a
 * continued fraction above.
 */
void
te_special_gamma(double a, double x, double *lower, double *upper)
{
	double		sum = 1.0;
	double		term = 1.0;
	double		b,
				c,
				d,
				h;
	int			n;

	if (x <= 0.0 || isinf(x))
	{
		*lower = x <= 0.0 ? 0.0 : 1.0;
		*upper = 1.0 - *lower;
		return;
	}
	if (x < a + 1.0)
	{
		for (n = 1; n < MAX_TERMS && term > sum * 1e-17; n++)
		{
			term *= x / (a + n);
			sum += term;
			if (n % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
		}
		*lower = Min(gamma_power(a, x) * sum, 1.0);
		*upper = 1.0 - *lower;
		return;
	}
	b = x + 1.0 - a;
	c = 1.0 / TINY;
	d = 1.0 / b;
	h = d;
	for (n = 1; n < MAX_TERMS; n++)
	{
		double		step;

		term = -n * (n - a);
		b += 2.0;
		d = term * d + b;
		if (fabs(d) < TINY)
			d = TINY;
		c = b + term / c;
		if (fabs(c) < TINY)
			c = TINY;
		d = 1.0 / d;
		step = d * c;
		h *= step;
		if (fabs(step - 1.0) < 3e-16)
			break;
		if (n % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	*upper = Min(gamma_power(a, x) * a * h, 1.0);
	*lower = 1.0 - *upper;
}

/*
 * Density of the gamma distribution of scale 1.
 */
double
te_special_gamma_density(double a, double x)
{
	return x > 0.0 ? gamma_power(a, x) * a / x : 0.0;
}

/* ---- t and chi-square ---- */

/*
 * P(T > t) of Student's t. With many degrees of freedom by G. W. Hill's expansion
 * (algorithm 395, Communications of the ACM 13 (1970) 617-619), whose error there is
 * below that of a double.
 */
double
te_special_t_tail(double t, double df)
{
	double		lower,
				upper;

	if (t < 0)
		return 1.0 - te_special_t_tail(-t, df);
	if (isinf(t))
		return 0.0;
	if (df > 5000)
	{
		double		a = df - 0.5;
		double		b = 48 * a * a;
		double		y = a * log1p(t * (t / df));
		double		z = (((((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b) + y + 3) / b + 1)
			* sqrt(y);

		return te_special_normal_cdf(-z);
	}
	t = Min(t, 1e145);			/* the square must fit, and beyond nobody looks */
	te_special_beta(0.5 * df, 0.5, df / (df + t * t), t * t / (df + t * t), &lower, &upper);
	return 0.5 * lower;
}

/*
 * The t whose lower tail is p: Newton's method on the logarithm of the smaller tail,
 * held between bounds.
 */
double
te_special_t_quantile(double p, double df)
{
	double		tail = Min(p, 1.0 - p);
	double		low = 0.0;
	double		high = INFINITY;
	double		t;
	double		scale;
	int			i;

	if (tail <= 0.0)
		return p <= 0.0 ? -INFINITY : INFINITY;
	if (p == 0.5)
		return 0.0;
	t = Max(-te_special_normal_quantile(tail), 1e-8);
	scale = exp(lgamma(0.5 * (df + 1.0)) - lgamma(0.5 * df)) / sqrt(df * M_PI);
	for (i = 0; i < 400; i++)
	{
		double		here = te_special_t_tail(t, df);
		double		density = scale * exp(-0.5 * (df + 1.0) * log1p(t * t / df));
		double		next;

		if (here > tail)
			low = t;
		else
			high = t;
		next = t + log(here / tail) * here / density;
		if (!(next > low && next < high))
			next = isinf(high) ? 2.0 * t : 0.5 * (low + high);
		if (fabs(next - t) <= 1e-16 * t)
		{
			t = next;
			break;
		}
		t = next;
	}
	return p < 0.5 ? -t : t;
}

/*
 * P(X > x) of the chi-square distribution.
 */
double
te_special_chi2_tail(double x, double df)
{
	double		lower,
				upper;

	te_special_gamma(0.5 * df, 0.5 * x, &lower, &upper);
	return upper;
}

/* ---- quadrature ---- */

/*
 * Nodes and weights of the Gauss-Legendre rule of n points: roots of the Legendre
 * polynomial by Newton's method.
 */
void
te_special_gauss_legendre(int n, double *nodes, double *weights)
{
	int			i,
				k;

	for (i = 0; i < (n + 1) / 2; i++)
	{
		double		x = cos(M_PI * (i + 0.75) / (n + 0.5));
		double		slope = 1.0;
		int			round;

		for (round = 0; round < 100; round++)
		{
			double		before = 1.0;
			double		value = x;
			double		step;

			for (k = 2; k <= n; k++)
			{
				double		next = ((2 * k - 1) * x * value - (k - 1) * before) / k;

				before = value;
				value = next;
			}
			slope = n * (x * value - before) / (x * x - 1.0);
			step = value / slope;
			x -= step;
			if (fabs(step) < 1e-16)
				break;
		}
		nodes[i] = -x;
		nodes[n - 1 - i] = x;
		weights[i] = weights[n - 1 - i] = 2.0 / ((1.0 - x * x) * slope * slope);
	}
}
