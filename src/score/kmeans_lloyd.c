/*
 * kmeans_lloyd.c
 *		The iterations of k-means: Lloyd's with the bounds of Hamerly (2010), which leave
 *		out distances that cannot matter and come to the same end, and the exchanges of
 *		Hartigan (1975), which get out of some of the ends that Lloyd's are stuck in.
 *
 * The loops over doubles are compiled with vectorization. Centres are held transposed
 * for them: all distances of a point come out side by side.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "score/score.h"

/*
 * Squared distances of a point to all centres; the last ones, which fill up to kp, mean
 * nothing. Does not throw.
 */
void
te_score_distances(const double *x, const double *transposed, int d, int kp, double *out)
{
	int			i,
				j;

	for (i = 0; i < kp; i++)
		out[i] = 0;
	for (j = 0; j < d; j++)
	{
		const double *center = transposed + (Size) j * kp;
		double		value = x[j];

		for (i = 0; i < kp; i++)
		{
			double		difference = value - center[i];

			out[i] += difference * difference;
		}
	}
}

/*
 * Centres by columns instead of by clusters, in out or, when that is NULL, in new memory.
 */
double *
te_score_transpose(const double *centers, int k, int d, int kp, double *out)
{
	int			i,
				j;

	if (out == NULL)
		out = palloc0(sizeof(double) * d * kp);
	for (j = 0; j < d; j++)
		for (i = 0; i < k; i++)
			out[(Size) j * kp + i] = centers[(Size) i * d + j];
	return out;
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

/* What the iterations keep beside the clusters. */
typedef struct Lloyd
{
	const TePoints *points;
	TeClusters *clusters;
	int			k;
	int			d;
	int			kp;
	double	   *transposed;
	double	   *sums;			/* of the points of each cluster */
	double	   *upper;			/* no point is farther from its centre */
	double	   *lower;			/* nor nearer to any other */
	double	   *moved;			/* how far each centre went */
	double	   *apart;			/* half way from each centre to the next */
	double	   *distances;		/* scratch */
} Lloyd;

/*
 * Looks at all centres: nearest and second nearest. Returns the nearest. Does not throw.
 */
static int
look_at_all(Lloyd *lloyd, int point)
{
	double		best = INFINITY,
				second = INFINITY;
	int			nearest = 0;
	int			i;

	te_score_distances(lloyd->points->x + (Size) point * lloyd->d, lloyd->transposed, lloyd->d, lloyd->kp,
					   lloyd->distances);
	for (i = 0; i < lloyd->k; i++)
	{
		double		distance = lloyd->distances[i];

		if (distance < best)
		{
			second = best;
			best = distance;
			nearest = i;
		}
		else if (distance < second)
			second = distance;
	}
	lloyd->upper[point] = sqrt(best);
	lloyd->lower[point] = sqrt(second);
	return nearest;
}

/*
 * Puts a point into a cluster, or takes it out with a negative weight. Does not throw.
 */
static void
account(Lloyd *lloyd, int cluster, int point, double weight)
{
	const double *x = lloyd->points->x + (Size) point * lloyd->d;
	double	   *sum = lloyd->sums + (Size) cluster * lloyd->d;
	int			j;

	for (j = 0; j < lloyd->d; j++)
		sum[j] += weight * x[j];
	lloyd->clusters->weight[cluster] += weight;
}

/*
 * Assigns every point to its nearest centre and sums the clusters up anew. Throws only
 * when the query is cancelled.
 */
static void
assign_all(Lloyd *lloyd)
{
	int			i;

	memset(lloyd->sums, 0, sizeof(double) * lloyd->k * lloyd->d);
	memset(lloyd->clusters->weight, 0, sizeof(double) * lloyd->k);
	te_score_transpose(lloyd->clusters->centers, lloyd->k, lloyd->d, lloyd->kp, lloyd->transposed);
	for (i = 0; i < lloyd->points->n; i++)
	{
		int			nearest = look_at_all(lloyd, i);

		lloyd->clusters->cluster[i] = nearest;
		account(lloyd, nearest, i, lloyd->points->weight[i]);
		if (i % 16384 == 0)
			CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Gives each cluster that lost all its points the point that is farthest from its
 * centre, of those that do not stand alone. Returns whether there was one.
 */
static bool
fill_empty(Lloyd *lloyd)
{
	TeClusters *clusters = lloyd->clusters;
	bool		filled = false;
	int			empty,
				i;

	for (empty = 0; empty < lloyd->k; empty++)
	{
		double		farthest = -1;
		int			chosen = -1;

		if (clusters->weight[empty] > 0)
			continue;
		for (i = 0; i < lloyd->points->n; i++)
		{
			int			cluster = clusters->cluster[i];
			double		distance;

			if (clusters->weight[cluster] <= lloyd->points->weight[i])
				continue;
			distance = square_distance(lloyd->points->x + (Size) i * lloyd->d,
									   clusters->centers + (Size) cluster * lloyd->d, lloyd->d);
			if (distance > farthest)
			{
				farthest = distance;
				chosen = i;
			}
		}
		if (chosen < 0)
			continue;
		account(lloyd, clusters->cluster[chosen], chosen, -lloyd->points->weight[chosen]);
		memset(lloyd->sums + (Size) empty * lloyd->d, 0, sizeof(double) * lloyd->d);
		clusters->weight[empty] = 0;
		clusters->cluster[chosen] = empty;
		account(lloyd, empty, chosen, lloyd->points->weight[chosen]);
		filled = true;
	}
	return filled;
}

/*
 * Moves every centre to the middle of its points, and notes how far they went and how
 * far apart they are. Returns the sum of the squared ways. Does not throw.
 */
static double
move_centers(Lloyd *lloyd)
{
	double	   *centers = lloyd->clusters->centers;
	double		total = 0;
	int			i,
				j;

	for (i = 0; i < lloyd->k; i++)
	{
		double		way = 0;

		for (j = 0; j < lloyd->d; j++)
		{
			Size		at = (Size) i * lloyd->d + j;
			double		mean = lloyd->sums[at] / lloyd->clusters->weight[i];

			way += (mean - centers[at]) * (mean - centers[at]);
			centers[at] = mean;
		}
		lloyd->moved[i] = sqrt(way);
		total += way;
		lloyd->apart[i] = INFINITY;
	}
	for (i = 0; i < lloyd->k; i++)
		for (j = 0; j < i; j++)
		{
			double		half = sqrt(square_distance(centers + (Size) i * lloyd->d, centers + (Size) j * lloyd->d, lloyd->d)) / 2;

			lloyd->apart[i] = Min(lloyd->apart[i], half);
			lloyd->apart[j] = Min(lloyd->apart[j], half);
		}
	te_score_transpose(centers, lloyd->k, lloyd->d, lloyd->kp, lloyd->transposed);
	return total;
}

/*
 * Assigns points whose bounds do not hold any more. Returns how many changed.
 */
static int
assign_some(Lloyd *lloyd)
{
	TeClusters *clusters = lloyd->clusters;
	const TePoints *points = lloyd->points;
	double		most = 0,
				next = 0;
	int			who = -1;
	int			changes = 0;
	int			i;

	for (i = 0; i < lloyd->k; i++)
		if (lloyd->moved[i] > most)
		{
			next = most;
			most = lloyd->moved[i];
			who = i;
		}
		else if (lloyd->moved[i] > next)
			next = lloyd->moved[i];
	for (i = 0; i < points->n; i++)
	{
		int			cluster = clusters->cluster[i];
		double		bound;
		int			nearest;

		lloyd->upper[i] += lloyd->moved[cluster];
		lloyd->lower[i] -= cluster == who ? next : most;
		bound = Max(lloyd->apart[cluster], lloyd->lower[i]);
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		if (lloyd->upper[i] <= bound)
			continue;
		lloyd->upper[i] = sqrt(square_distance(points->x + (Size) i * lloyd->d,
											   clusters->centers + (Size) cluster * lloyd->d, lloyd->d));
		if (lloyd->upper[i] <= bound)
			continue;
		nearest = look_at_all(lloyd, i);
		if (nearest == cluster)
			continue;
		account(lloyd, cluster, i, -points->weight[i]);
		account(lloyd, nearest, i, points->weight[i]);
		clusters->cluster[i] = nearest;
		changes++;
	}
	return changes;
}

/*
 * Iterates from the centres given until no point changes its cluster, the centres
 * move by less than tolerance (a sum of squares), or max_iterations. Weights of clusters
 * are counted, inertia is not. Throws only when the query is cancelled.
 */
void
te_score_lloyd(const TePoints *points, TeClusters *clusters, int max_iterations, double tolerance)
{
	Lloyd		lloyd = {points, clusters, clusters->k, points->d, TE_PADDED(clusters->k)};
	int			iteration;

	lloyd.transposed = palloc0(sizeof(double) * lloyd.d * lloyd.kp);
	lloyd.sums = palloc(sizeof(double) * lloyd.k * lloyd.d);
	lloyd.upper = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * points->n);
	lloyd.lower = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * points->n);
	lloyd.moved = palloc(sizeof(double) * lloyd.k);
	lloyd.apart = palloc(sizeof(double) * lloyd.k);
	lloyd.distances = palloc(sizeof(double) * lloyd.kp);

	assign_all(&lloyd);
	for (iteration = 0; iteration < max_iterations; iteration++)
	{
		bool		filled = fill_empty(&lloyd);
		double		way = move_centers(&lloyd);

		clusters->iterations++;
		if (filled)
			assign_all(&lloyd);
		else if (way <= tolerance || assign_some(&lloyd) == 0)
			break;
	}
	/* nothing may be left empty when the iterations ran out */
	while (fill_empty(&lloyd))
		(void) move_centers(&lloyd);
	pfree(lloyd.transposed);
	pfree(lloyd.sums);
	pfree(lloyd.upper);
	pfree(lloyd.lower);
	pfree(lloyd.moved);
	pfree(lloyd.apart);
	pfree(lloyd.distances);
}

/*
 * Moves single points to another cluster as long as that makes the sum of squares less:
 * leaving a cluster of weight n gains n w / (n - w) d^2, joining costs n w / (n + w) d^2.
 * Returns whether any point moved. Throws only when the query is cancelled.
 */
bool
te_score_exchange(const TePoints *points, TeClusters *clusters)
{
	int			k = clusters->k;
	int			d = points->d;
	bool		moved = false;
	int			quiet = 0;
	int			visited = 0;
	int			i = 0;

	/* a pass over all points without a change ends it, as does a hundred passes */
	while (quiet < points->n && visited / 100 < points->n)
	{
		const double *x = points->x + (Size) i * d;
		double		w = points->weight[i];
		int			from = clusters->cluster[i];
		double		n = clusters->weight[from];
		int			to = -1;
		int			j;

		CHECK_FOR_INTERRUPTS();
		if (n > w)
		{
			double		least = n * w / (n - w) * square_distance(x, clusters->centers + (Size) from * d, d) * (1 - 1e-10);

			for (j = 0; j < k; j++)
			{
				double		m = clusters->weight[j];
				double		cost;

				if (j == from)
					continue;
				cost = m * w / (m + w) * square_distance(x, clusters->centers + (Size) j * d, d);
				if (cost < least)
				{
					least = cost;
					to = j;
				}
			}
		}
		if (to >= 0)
		{
			double	   *old = clusters->centers + (Size) from * d;
			double	   *new = clusters->centers + (Size) to * d;
			double		m = clusters->weight[to];

			for (j = 0; j < d; j++)
			{
				old[j] -= (x[j] - old[j]) * w / (n - w);
				new[j] += (x[j] - new[j]) * w / (m + w);
			}
			clusters->weight[from] -= w;
			clusters->weight[to] += w;
			clusters->cluster[i] = to;
			moved = true;
			quiet = 0;
		}
		else
			quiet++;
		i = i + 1 < points->n ? i + 1 : 0;
		visited++;
	}
	return moved;
}

/*
 * Centres, weights and inertia of the clusters as they are, from compensated sums.
 * Throws only when the query is cancelled.
 */
void
te_score_settle(const TePoints *points, TeClusters *clusters)
{
	int			d = points->d;
	TeSum	   *sums = palloc0(sizeof(TeSum) * clusters->k * d);
	TeSum		inertia = {0};
	int			i,
				j;

	memset(clusters->weight, 0, sizeof(double) * clusters->k);
	for (i = 0; i < points->n; i++)
	{
		TeSum	   *sum = sums + (Size) clusters->cluster[i] * d;

		clusters->weight[clusters->cluster[i]] += points->weight[i];
		for (j = 0; j < d; j++)
			te_score_add(&sum[j], points->weight[i] * points->x[(Size) i * d + j]);
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	for (i = 0; i < clusters->k; i++)
		for (j = 0; j < d && clusters->weight[i] > 0; j++)
			clusters->centers[(Size) i * d + j] = te_score_total(&sums[(Size) i * d + j]) / clusters->weight[i];
	for (i = 0; i < points->n; i++)
		te_score_add(&inertia, points->weight[i] *
					 square_distance(points->x + (Size) i * d, clusters->centers + (Size) clusters->cluster[i] * d, d));
	clusters->inertia = te_score_total(&inertia);
	pfree(sums);
}
