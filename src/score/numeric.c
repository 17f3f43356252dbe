/*
 * numeric.c
 *		Minimum of a function of few variables, and special functions over libm.
 */
#include "postgres.h"

#include <float.h>

#include "miscadmin.h"

#include "score/score.h"

#define MAX_VARIABLES 6

/*
 * Logarithm of the gamma function, without the global sign of libm's lgamma(). Does
 * not throw.
 */
double
te_score_lgamma(double x)
{
	int			sign;

	return lgamma_r(x, &sign);
}

/*
 * log(exp(a) + exp(b)) without overflow. Does not throw.
 */
double
te_score_log_add(double a, double b)
{
	double		high = Max(a, b);
	double		low = Min(a, b);

	if (isinf(high) && high < 0)
		return high;
	return high + log1p(exp(low - high));
}

/*
 * The logistic function. Does not throw.
 */
double
te_score_sigmoid(double x)
{
	double		e;

	if (x >= 0)
		return 1 / (1 + exp(-x));
	e = exp(x);
	return e / (1 + e);
}

/*
 * Its inverse, for 0 < p < 1. Does not throw.
 */
double
te_score_logit(double p)
{
	return log(p) - log1p(-p);
}

/*
 * Gauss's hypergeometric function by its series, for 0 <= z < 1; c must not be zero or
 * a negative integer. Callers transform their arguments so that the terms decrease
 * quickly (Abramowitz & Stegun 15.1.1, 15.3.3). Does not throw; NaN when it does not
 * converge.
 */
double
te_score_hyp2f1(double a, double b, double c, double z)
{
	TeSum		sum = {0};
	double		term = 1;
	int			n;

	te_score_add(&sum, term);
	for (n = 0; n < 1000000; n++)
	{
		double		step = (a + n) * (b + n) / ((c + n) * (1.0 + n)) * z;

		term *= step;
		te_score_add(&sum, term);
		if (term == 0 ||
			(fabs(step) < 1 && fabs(term) <= fabs(sum.sum) * DBL_EPSILON / 8 * (1 - fabs(step))))
			return te_score_total(&sum);
	}
	return NAN;
}

/* The corners of a simplex with their values, the best first once sorted. */
typedef struct Simplex
{
	int			n;
	int			calls;
	TeObjective objective;
	void	   *arg;
	double		x[MAX_VARIABLES + 1][MAX_VARIABLES];
	double		f[MAX_VARIABLES + 1];
} Simplex;

/*
 * The objective, with what is not a number taken for a very bad value.
 */
static double
evaluate(Simplex *simplex, const double *x)
{
	double		f;

	CHECK_FOR_INTERRUPTS();
	simplex->calls++;
	f = simplex->objective(x, simplex->arg);
	return isnan(f) ? INFINITY : f;
}

/*
 * Sorts the corners by value; few, so by insertion.
 */
static void
sort_corners(Simplex *simplex)
{
	int			i,
				j;

	for (i = 1; i <= simplex->n; i++)
	{
		double		f = simplex->f[i];
		double		x[MAX_VARIABLES];

		memcpy(x, simplex->x[i], sizeof(x));
		for (j = i; j > 0 && simplex->f[j - 1] > f; j--)
		{
			simplex->f[j] = simplex->f[j - 1];
			memcpy(simplex->x[j], simplex->x[j - 1], sizeof(x));
		}
		simplex->f[j] = f;
		memcpy(simplex->x[j], x, sizeof(x));
	}
}

/*
 * Tries the point that lies by the factor beyond the centre of the others, seen from
 * the worst corner; returns its value and leaves it in x.
 */
static double
try_point(Simplex *simplex, const double *centre, double factor, double *x)
{
	int			j;

	for (j = 0; j < simplex->n; j++)
		x[j] = centre[j] + factor * (centre[j] - simplex->x[simplex->n][j]);
	return evaluate(simplex, x);
}

/*
 * One step of the simplex (Nelder & Mead 1965, with their coefficients).
 */
static void
move_simplex(Simplex *simplex)
{
	int			n = simplex->n;
	double		centre[MAX_VARIABLES] = {0};
	double		point[MAX_VARIABLES];
	double		second[MAX_VARIABLES];
	double		f,
				f2;
	int			i,
				j;

	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			centre[j] += simplex->x[i][j] / n;
	f = try_point(simplex, centre, 1, point);
	if (f < simplex->f[0])
	{
		f2 = try_point(simplex, centre, 2, second);
		if (f2 < f)
		{
			memcpy(point, second, sizeof(point));
			f = f2;
		}
	}
	else if (f >= simplex->f[n - 1])
	{
		bool		outside = f < simplex->f[n];

		f2 = try_point(simplex, centre, outside ? 0.5 : -0.5, second);
		if (f2 < (outside ? f : simplex->f[n]))
		{
			memcpy(point, second, sizeof(point));
			f = f2;
		}
		else
		{
			for (i = 1; i <= n; i++)
			{
				for (j = 0; j < n; j++)
					simplex->x[i][j] = (simplex->x[i][j] + simplex->x[0][j]) / 2;
				simplex->f[i] = evaluate(simplex, simplex->x[i]);
			}
			return;
		}
	}
	memcpy(simplex->x[n], point, sizeof(point));
	simplex->f[n] = f;
}

/*
 * Looks for the x that makes objective least, beginning with the one given, by
 * Nelder & Mead's method. A simplex can collapse too early, so it is set up anew at
 * what was found until that brings nothing any more. Returns the least value; throws
 * when the query is cancelled. *converged tells whether it came to rest within max_calls.
 */
double
te_score_minimize(TeObjective objective, void *arg, int n, double *x, double step,
				  int max_calls, bool *converged)
{
	Simplex		simplex = {0};
	double		before = INFINITY;
	double		tolerance = 1e-3;	/* the first simplex only has to come near */
	int			i,
				j;

	Assert(n <= MAX_VARIABLES);
	simplex.n = n;
	simplex.objective = objective;
	simplex.arg = arg;
	*converged = false;
	while (simplex.calls < max_calls)
	{
		for (i = 0; i <= n; i++)
		{
			memcpy(simplex.x[i], x, sizeof(double) * n);
			if (i > 0)
				simplex.x[i][i - 1] += step;
			simplex.f[i] = evaluate(&simplex, simplex.x[i]);
		}
		for (;;)
		{
			double		width = 0;

			sort_corners(&simplex);
			for (i = 1; i <= n; i++)
				for (j = 0; j < n; j++)
					width = Max(width, fabs(simplex.x[i][j] - simplex.x[0][j]));
			if (width < tolerance / 100 || simplex.calls >= max_calls ||
				(width < tolerance && simplex.f[n] - simplex.f[0] <= 1e-13 * fabs(simplex.f[0])))
				break;
			move_simplex(&simplex);
		}
		memcpy(x, simplex.x[0], sizeof(double) * n);
		if (tolerance < 1e-6 && before - simplex.f[0] <= 1e-10 * Max(1, fabs(simplex.f[0])))
		{
			*converged = isfinite(simplex.f[0]);
			break;
		}
		before = simplex.f[0];
		step = Max(step / 4, 0.01);
		tolerance = 1e-7;
	}
	return simplex.f[0];
}
