/*
 * kmeans.c
 *		k-means: seeding by k-means++ (Arthur & Vassilvitskii 2007) with several tries a
 *		centre, restarts, mini-batches (Sculley 2010), and the simplified silhouette.
 *
 * Everything depends on the points in their own order and on the seed alone.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "score/score.h"

/* Restarts try so many points at most, and the best goes on with all. */
#define SAMPLE 100000
/* Exchanges of single points are worth their time up to so many distances a pass. */
#define EXCHANGE_LIMIT 20000000

/*
 * A way to divide n points into k, without contents, in the current context.
 */
static TeClusters *
new_clusters(int k, int d, int n)
{
	TeClusters *clusters = palloc0(sizeof(TeClusters));

	clusters->k = k;
	clusters->centers = palloc0(sizeof(double) * k * d);
	clusters->weight = palloc0(sizeof(double) * k);
	clusters->cluster = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) n);
	return clusters;
}

/*
 * Frees one.
 */
static void
free_clusters(TeClusters *clusters)
{
	pfree(clusters->centers);
	pfree(clusters->weight);
	pfree(clusters->cluster);
	pfree(clusters);
}

/*
 * Squared distance of two points. Does not throw.
 */
static double
square_distance(const double *x, const double *y, int d)
{
	double		sum = 0;
	int			j;

	for (j = 0; j < d; j++)
		sum += (x[j] - y[j]) * (x[j] - y[j]);
	return sum;
}

/*
 * Draws a point with a probability in proportion to share[], which sum up to total. Does
 * not throw.
 */
static int
draw(const double *share, int n, double total, TeRandom *random)
{
	double		rest = te_random_double(random) * total;
	int			last = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (share[i] <= 0)
			continue;
		last = i;
		rest -= share[i];
		if (rest < 0)
			break;
	}
	return last;
}

/*
 * Chooses centres among the points: each next one far from those before, with a
 * probability in proportion to the squared distance, the best of a few draws.
 */
static void
seed_centers(const TePoints *points, TeClusters *clusters, TeRandom *random)
{
	int			n = points->n;
	int			d = points->d;
	int			tries = 2 + (int) log(clusters->k);
	double	   *share = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * n);
	double	   *trial = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * n);
	double	   *best = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * n);
	double		total;
	int			chosen = draw(points->weight, n, points->total, random);
	int			center,
				t,
				i;

	memcpy(clusters->centers, points->x + (Size) chosen * d, sizeof(double) * d);
	total = 0;
	for (i = 0; i < n; i++)
		total += share[i] = points->weight[i] * square_distance(points->x + (Size) i * d, clusters->centers, d);
	for (center = 1; center < clusters->k; center++)
	{
		double		best_total = INFINITY;
		double	   *swap;

		for (t = 0; t < tries; t++)
		{
			int			candidate = draw(share, n, total, random);
			double		sum = 0;

			for (i = 0; i < n; i++)
			{
				double		distance = points->weight[i] *
					square_distance(points->x + (Size) i * d, points->x + (Size) candidate * d, d);

				trial[i] = Min(share[i], distance);
				sum += trial[i];
			}
			CHECK_FOR_INTERRUPTS();
			if (sum < best_total)
			{
				best_total = sum;
				chosen = candidate;
				swap = best;
				best = trial;
				trial = swap;
			}
		}
		memcpy(clusters->centers + (Size) center * d, points->x + (Size) chosen * d, sizeof(double) * d);
		swap = share;
		share = best;
		best = swap;
		total = best_total;
	}
	pfree(share);
	pfree(trial);
	pfree(best);
}

/*
 * The mean variance of the columns, which tolerances are relative to. Does not throw.
 */
static double
mean_variance(const TePoints *points)
{
	TeSum		sum = {0};
	Size		i;

	for (i = 0; i < (Size) points->n * points->d; i++)
		te_score_add(&sum, points->weight[i / points->d] * points->x[i] * points->x[i]);
	return te_score_total(&sum) / points->total / points->d;
}

/*
 * Lloyd's iterations, and exchanges where they are affordable, until neither changes
 * anything.
 */
static void
iterate(const TePoints *points, TeClusters *clusters, int max_iterations, double tolerance)
{
	int			round;

	for (round = 0; round < 20; round++)
	{
		te_score_lloyd(points, clusters, Max(1, max_iterations - clusters->iterations), tolerance);
		if (tolerance > 0 || clusters->iterations >= max_iterations ||
			(double) points->n * clusters->k * points->d > EXCHANGE_LIMIT ||
			!te_score_exchange(points, clusters))
			break;
	}
	te_score_settle(points, clusters);
}

/*
 * Mini-batches: every batch of points drawn moves its centres by a step that gets less
 * with the points a centre has seen. Ends when the smoothed distance of a batch has not
 * become less for a while.
 */
static void
learn_batches(const TePoints *points, TeClusters *clusters, const TeKMeansOptions *options, TeRandom *random)
{
	int			d = points->d;
	int			kp = TE_PADDED(clusters->k);
	double	   *transposed = palloc0(sizeof(double) * d * kp);
	double	   *distances = palloc(sizeof(double) * kp);
	int		   *nearest = palloc(sizeof(int) * options->batch);
	int		   *drawn = palloc(sizeof(int) * options->batch);
	double		smoothed = -1,
				least = INFINITY;
	double		memory = Min(1, 2.0 * options->batch / (points->n + 1.0));
	int			quiet = 0;
	int			iteration,
				i,
				j;

	memset(clusters->weight, 0, sizeof(double) * clusters->k);
	for (iteration = 0; iteration < options->max_iterations && quiet < 10; iteration++)
	{
		double		sum = 0,
					seen = 0;

		te_score_transpose(clusters->centers, clusters->k, d, kp, transposed);
		for (i = 0; i < options->batch; i++)
		{
			int			point = Min((int) (te_random_double(random) * points->n), points->n - 1);

			drawn[i] = point;
			te_score_distances(points->x + (Size) point * d, transposed, d, kp, distances);
			nearest[i] = 0;
			for (j = 1; j < clusters->k; j++)
				if (distances[j] < distances[nearest[i]])
					nearest[i] = j;
			sum += points->weight[point] * distances[nearest[i]];
			seen += points->weight[point];
		}
		for (i = 0; i < options->batch; i++)
		{
			double	   *center = clusters->centers + (Size) nearest[i] * d;
			const double *x = points->x + (Size) drawn[i] * d;
			double		step;

			clusters->weight[nearest[i]] += points->weight[drawn[i]];
			step = points->weight[drawn[i]] / clusters->weight[nearest[i]];
			for (j = 0; j < d; j++)
				center[j] += step * (x[j] - center[j]);
		}
		smoothed = smoothed < 0 ? sum / seen : smoothed + memory * (sum / seen - smoothed);
		quiet = smoothed < least ? 0 : quiet + 1;
		least = Min(least, smoothed);
		clusters->iterations++;
		CHECK_FOR_INTERRUPTS();
	}
	pfree(transposed);
	pfree(distances);
	pfree(nearest);
	pfree(drawn);
}

/*
 * Divides the points into k clusters: the best of several beginnings. The result is
 * allocated in the current context. With more than SAMPLE points the beginnings are
 * tried with a sample, and the best of them goes on with all. Throws when there are
 * fewer distinct points than clusters.
 */
void
te_score_kmeans(const TePoints *points, int k, const TeKMeansOptions *options, TeClusters *result)
{
	TePoints	sample = *points;
	TeClusters *best = NULL;
	double		tolerance = options->tolerance;
	int			restart;

	if (k < 1 || k > points->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, but there are %d distinct rows", k, points->n),
				 errhint("k is at least 1 and at most the number of distinct rows.")));
	if (tolerance < 0)
		tolerance = points->n > SAMPLE ? 1e-4 : 0;
	tolerance *= mean_variance(points);
	sample.n = Min(points->n, Max(SAMPLE, 10 * k));
	if (sample.n < points->n)
	{
		sample.total = 0;
		for (restart = 0; restart < sample.n; restart++)
			sample.total += sample.weight[restart];
	}
	for (restart = 0; restart < options->restarts; restart++)
	{
		TeClusters *clusters = new_clusters(k, points->d, sample.n);
		TeRandom	random;

		te_random_seed(&random, options->seed + restart * UINT64CONST(0x9E3779B97F4A7C15));
		seed_centers(&sample, clusters, &random);
		if (options->mini_batch)
		{
			learn_batches(points, clusters, options, &random);
			te_score_lloyd(&sample, clusters, 1, tolerance);
			te_score_settle(&sample, clusters);
		}
		else
			iterate(&sample, clusters, options->max_iterations, tolerance);
		if (best == NULL || clusters->inertia < best->inertia)
		{
			if (best)
				free_clusters(best);
			best = clusters;
		}
		else
			free_clusters(clusters);
		te_score_progress(options->what, "k = %d, beginning %d of %d, best sum of squares so far %g", k, restart + 1,
						  options->restarts, best->inertia);
	}
	if (sample.n < points->n)
	{
		TeClusters *clusters = new_clusters(k, points->d, points->n);

		memcpy(clusters->centers, best->centers, sizeof(double) * k * points->d);
		if (options->mini_batch)
		{
			te_score_lloyd(points, clusters, 1, tolerance);
			te_score_settle(points, clusters);
		}
		else
			iterate(points, clusters, options->max_iterations, tolerance);
		clusters->iterations += best->iterations;
		free_clusters(best);
		best = clusters;
	}
	*result = *best;
}

/*
 * The mean simplified silhouette: (b - a) / max(a, b) with the distances of a point to
 * its own centre and to the nearest other one (Hruschka, Campello & de Castro 2004). NaN
 * for one cluster.
 */
double
te_score_silhouette(const TePoints *points, const TeClusters *clusters)
{
	int			kp = TE_PADDED(clusters->k);
	double	   *transposed = te_score_transpose(clusters->centers, clusters->k, points->d, kp, NULL);
	double	   *distances = palloc(sizeof(double) * kp);
	TeSum		sum = {0};
	int			i,
				j;

	if (clusters->k < 2)
		return NAN;
	for (i = 0; i < points->n; i++)
	{
		int			own = clusters->cluster[i];
		double		other = INFINITY;
		double		a,
					b;

		te_score_distances(points->x + (Size) i * points->d, transposed, points->d, kp, distances);
		for (j = 0; j < clusters->k; j++)
			if (j != own)
				other = Min(other, distances[j]);
		a = sqrt(distances[own]);
		b = sqrt(other);
		if (Max(a, b) > 0)
			te_score_add(&sum, points->weight[i] * (b - a) / Max(a, b));
		if (i % 16384 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	pfree(transposed);
	pfree(distances);
	return te_score_total(&sum) / points->total;
}
