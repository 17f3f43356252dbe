/*
 * posterior.c
 *		Which of several independent posteriors is the largest, by quadrature.
 *
 * The line is cut at points about the mean of every arm, so that each piece is smooth
 * for all of them; a piece takes a Gauss-Legendre rule, or, where it touches the end
 * of a beta distribution, whose density may be infinite there, the double exponential
 * rule of Takahasi and Mori.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

#define NODES 16
#define NCUTS 17

static const double cuts[NCUTS] = {-12, -8, -6, -4.5, -3.5, -2.5, -1.5, -0.75, 0, 0.75, 1.5, 2.5, 3.5, 4.5, 6, 8, 12};

/* Sums that one pass over all nodes collects. */
typedef struct Sums
{
	const TePosterior *arms;
	int			count;
	double	   *below;			/* distribution functions at a node */
	double	   *best;			/* may be NULL */
	double	   *beats_first;	/* may be NULL */
	double		not_above;		/* integral of 1 - product of distribution functions */
} Sums;

/*
 * Mean of a draw, its shift taken off.
 */
double
te_posterior_mean(const TePosterior *arm)
{
	return (arm->normal ? arm->a : arm->a / (arm->a + arm->b)) - arm->shift;
}

/*
 * Standard deviation of a draw.
 */
double
te_posterior_sd(const TePosterior *arm)
{
	double		n = arm->a + arm->b;

	return arm->normal ? arm->b : sqrt(arm->a / n * (arm->b / n) / (n + 1));
}

/*
 * The value whose lower tail is p.
 */
double
te_posterior_quantile(const TePosterior *arm, double p)
{
	double		x;

	if (arm->normal)
		x = arm->a + arm->b * te_special_normal_quantile(p);
	else
		x = te_special_beta_quantile(arm->a, arm->b, p, 1 - p);
	return x - arm->shift;
}

/*
 * Distribution function and density of an arm at y, which is given as a distance from
 * the lower or from the upper end of the beta distribution as well, where one of the
 * two is small.
 */
static void
evaluate(const TePosterior *arm, double y, double *below, double *density)
{
	double		x = y + arm->shift;
	double		upper;

	if (arm->normal)
	{
		double		z = (x - arm->a) / arm->b;

		*below = te_special_normal_cdf(z);
		*density = te_special_normal_density(z) / arm->b;
		return;
	}
	te_special_beta(arm->a, arm->b, x, 1 - x, below, &upper);
	*density = te_special_beta_density(arm->a, arm->b, x, 1 - x);
}

/*
 * Adds what a node of some weight says.
 */
static void
add_node(Sums *sums, double y, double weight)
{
	double		product = 1.0;
	int			i;

	for (i = 0; i < sums->count; i++)
	{
		double		density;

		evaluate(&sums->arms[i], y, &sums->below[i], &density);
		sums->below[sums->count + i] = density;
		product *= sums->below[i];
	}
	sums->not_above += weight * (1 - product);
	for (i = 0; i < sums->count; i++)
	{
		double		density = sums->below[sums->count + i];
		double		others = 1.0;
		int			k;

		if (density == 0)
			continue;
		if (sums->best)
		{
			for (k = 0; k < sums->count; k++)
				if (k != i)
					others *= sums->below[k];
			sums->best[i] += weight * density * others;
		}
		if (sums->beats_first && i > 0)
			sums->beats_first[i] += weight * density * sums->below[0];
	}
}

/*
 * A piece by the double exponential rule: x = tanh(pi/2 sinh t), nodes clustered
 * towards both ends.
 */
static void
add_singular_piece(Sums *sums, double low, double high)
{
	const double step = 1.0 / 16;
	double		half = (high - low) / 2;
	int			i;

	for (i = -60; i <= 60; i++)
	{
		double		t = i * step;
		double		u = M_PI_2 * sinh(t);
		double		gap = 1 / (exp(u) * cosh(u));	/* 1 - tanh(u), exact for large u */
		double		y = u < 0 ? low + half / (exp(-u) * cosh(u)) : high - half * gap;
		double		weight = half * step * M_PI_2 * cosh(t) / (cosh(u) * cosh(u));

		if (weight > 0 && y > low && y < high)
			add_node(sums, y, weight);
	}
}

/*
 * Orders numbers.
 */
static int
compare_numbers(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/*
 * True when the point is an end of an arm's beta distribution.
 */
static bool
is_end(const TePosterior *arms, int count, double y)
{
	int			i;

	for (i = 0; i < count; i++)
		if (!arms[i].normal && (y == -arms[i].shift || y == 1 - arms[i].shift))
			return true;
	return false;
}

/*
 * The points between which every arm is smooth, in order. Returns their number; the
 * array is palloc'ed.
 */
static int
find_cuts(const TePosterior *arms, int count, double **result)
{
	double	   *points = palloc(sizeof(double) * count * (NCUTS + 2));
	double		least = INFINITY;	/* shorter pieces than this help nobody */
	int			n = 0;
	int			i,
				k;

	for (i = 0; i < count; i++)
	{
		double		mean = te_posterior_mean(&arms[i]);
		double		sd = te_posterior_sd(&arms[i]);

		least = Min(least, sd / 2);
		for (k = 0; k < NCUTS; k++)
		{
			double		y = mean + cuts[k] * sd;

			if (arms[i].normal || (y > -arms[i].shift && y < 1 - arms[i].shift))
				points[n++] = y;
		}
		if (!arms[i].normal)
		{
			points[n++] = -arms[i].shift;
			points[n++] = 1 - arms[i].shift;
		}
	}
	qsort(points, n, sizeof(double), compare_numbers);
	for (i = 1, k = 1; i < n; i++)
		if (points[i] - points[k - 1] > least || (points[i] > points[k - 1] && (i == n - 1 || is_end(arms, count, points[i]))))
			points[k++] = points[i];
	*result = points;
	return k;
}

/*
 * Probabilities of each arm to be the largest and to be larger than the first, and the
 * mean of the largest. Works in the current memory context; throws only when the user
 * interrupts.
 */
void
te_posterior_compare(const TePosterior *arms, int count, double *best,
					 double *beats_first, double *mean_of_largest)
{
	double		nodes[NODES];
	double		weights[NODES];
	double	   *points;
	int			npoints = find_cuts(arms, count, &points);
	Sums		sums = {arms, count};
	int			i,
				k;

	sums.below = palloc(sizeof(double) * count * 2);
	sums.best = best;
	sums.beats_first = beats_first;
	for (i = 0; i < count; i++)
	{
		if (best)
			best[i] = 0.0;
		if (beats_first)
			beats_first[i] = 0.0;
	}
	te_special_gauss_legendre(NODES, nodes, weights);
	for (i = 0; i + 1 < npoints; i++)
	{
		double		half = (points[i + 1] - points[i]) / 2;
		double		middle = (points[i + 1] + points[i]) / 2;

		CHECK_FOR_INTERRUPTS();
		if (is_end(arms, count, points[i]) || is_end(arms, count, points[i + 1]))
			add_singular_piece(&sums, points[i], points[i + 1]);
		else
			for (k = 0; k < NODES; k++)
				add_node(&sums, middle + half * nodes[k], half * weights[k]);
	}
	/* E(max) = low + integral of P(max > y) from a point that all lie above */
	if (mean_of_largest)
		*mean_of_largest = points[0] + sums.not_above;
	pfree(sums.below);
	pfree(points);
}
