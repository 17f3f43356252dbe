/*
 * churn_model.c
 *		Models of repeat purchases by people who may silently leave: BG/NBD (Fader,
 *		Hardie & Lee 2005) and Pareto/NBD (Schmittlein, Morrison & Colombo 1987).
 *
 * A customer is known by x repeat purchases, the time t_x of the last and the time T
 * observed, both since the first purchase. Everything is computed from logarithms, as
 * the parts of a likelihood differ by hundreds of orders of magnitude.
 */
#include "postgres.h"

#include "score/score.h"

/* Gauss-Legendre rule of 12 points: positive nodes and their weights. */
#define HALF_RULE 6
static const double nodes[HALF_RULE] = {
	0.1252334085114689154724414, 0.3678314989981801937526915, 0.5873179542866174472967024,
	0.7699026741943046870368938, 0.9041172563704748566784659, 0.9815606342467192506905491
};
static const double weights[HALF_RULE] = {
	0.2491470458134027850005624, 0.2334925365383548087608499, 0.2031674267230659217490645,
	0.1600783285433462263346525, 0.1069393259953184309602547, 0.0471753363865118271946160
};

/* An integrand: (alpha + y)^-p (beta + y)^-q, from a point on. */
typedef struct Integrand
{
	double		alpha;
	double		beta;
	double		p;
	double		q;
	double		from;
	double		shift;			/* the smaller of alpha and beta */
} Integrand;

/*
 * Its value, relative to that at the beginning, where y + shift = (from + shift) e^v; the
 * factor of the substitution is part of it. Does not throw.
 */
static double
integrand_at(const Integrand *f, double v)
{
	double		y = (f->from + f->shift) * exp(v) - f->shift;

	return exp(v - f->p * log((f->alpha + y) / (f->alpha + f->from)) - f->q * log((f->beta + y) / (f->beta + f->from)));
}

/*
 * Logarithm of the integral of (alpha + y)^-p (beta + y)^-q over y between two points.
 * In the logarithm of y the integrand is smooth, and panels no wider than a few of its
 * shortest lengths of decay make the rule exact to about 12 digits. Does not throw.
 */
static double
log_integral(double alpha, double beta, double p, double q, double from, double to)
{
	Integrand	f = {alpha, beta, p, q, from, Min(alpha, beta)};
	double		range = log1p((to - from) / (from + f.shift));
	double		steepness = 1 + (to + f.shift) * (p / (alpha + to) + q / (beta + to));
	double		width = Min(2, 8 / steepness);
	TeSum		sum = {0};
	double		start;
	int			i;

	if (!(to > from))
		return -INFINITY;
	for (start = 0; start < range; start += width)
	{
		double		half = Min(width, range - start) / 2;
		double		middle = start + half;

		if (start > 0 && integrand_at(&f, start) < 1e-20)
			break;
		for (i = 0; i < HALF_RULE; i++)
		{
			te_score_add(&sum, half * weights[i] * integrand_at(&f, middle - half * nodes[i]));
			te_score_add(&sum, half * weights[i] * integrand_at(&f, middle + half * nodes[i]));
		}
	}
	return log(te_score_total(&sum)) + log(from + f.shift) - p * log(alpha + from) - q * log(beta + from);
}

/*
 * How much likelier it is that the customer is gone than that they are there, as a
 * logarithm, for BG/NBD: a / (b + x - 1) * ((alpha + T) / (alpha + t_x))^(r + x). Nobody
 * leaves before the first repeat purchase. Does not throw.
 */
static double
bg_log_odds_gone(const TeScoreChurn *model, const TeCustomer *c)
{
	if (c->x == 0)
		return -INFINITY;
	return log(model->p3) - log(model->p4 + c->x - 1) +
		(model->r + c->x) * log((model->alpha + c->T) / (model->alpha + c->t_x));
}

/*
 * The same for Pareto/NBD, where *log_alive gets the logarithm of the part of the
 * likelihood in which the customer is there: s * integral from t_x to T of
 * (alpha + y)^-(r + x) (beta + y)^-(s + 1) over (alpha + T)^-(r + x) (beta + T)^-s, which
 * is what their equations come to before they are written with 2F1. Does not throw.
 */
static double
pareto_log_odds_gone(const TeScoreChurn *model, const TeCustomer *c, double *log_alive)
{
	double		p = model->r + c->x;

	*log_alive = -p * log(model->alpha + c->T) - model->p3 * log(model->p4 + c->T);
	return log(model->p3) +
		log_integral(model->alpha, model->p4, p, model->p3 + 1, c->t_x, c->T) - *log_alive;
}

/*
 * What of the log likelihood depends on x alone. Does not throw.
 */
double
te_score_churn_constant(const TeScoreChurn *model, double x)
{
	double		result = te_score_lgamma(model->r + x) - te_score_lgamma(model->r) + model->r * log(model->alpha);

	if (model->kind == TE_CHURN_BG_NBD)
		return result + te_score_lgamma(model->p3 + model->p4) + te_score_lgamma(model->p4 + x) -
			te_score_lgamma(model->p4) - te_score_lgamma(model->p3 + model->p4 + x);
	return result + model->p3 * log(model->p4);
}

/*
 * The rest of the log likelihood of one customer. Does not throw.
 */
double
te_score_churn_variable(const TeScoreChurn *model, const TeCustomer *c)
{
	double		log_alive;
	double		log_odds;

	if (model->kind == TE_CHURN_BG_NBD)
	{
		log_alive = -(model->r + c->x) * log(model->alpha + c->T);
		log_odds = bg_log_odds_gone(model, c);
	}
	else
		log_odds = pareto_log_odds_gone(model, c, &log_alive);
	return log_alive + te_score_log_add(0, log_odds);
}

/*
 * The probability that the customer has not left for good. With BG/NBD it is 1 for
 * everybody without a repeat purchase, which is why it ranks badly. Does not throw.
 */
double
te_score_churn_alive(const TeScoreChurn *model, const TeCustomer *c)
{
	double		log_alive;

	if (model->kind == TE_CHURN_BG_NBD)
		return te_score_sigmoid(-bg_log_odds_gone(model, c));
	return te_score_sigmoid(-pareto_log_odds_gone(model, c, &log_alive));
}

/*
 * The probability of at least one purchase within t after T. BG/NBD: P(alive) times the
 * chance that a negative binomial process is not silent. Pareto/NBD: with rates lambda
 * and mu one comes in time with lambda / (lambda + mu) (1 - e^-(lambda + mu) t), whose
 * mean over what is known of the rates is the integral below. Does not throw.
 */
double
te_score_churn_any(const TeScoreChurn *model, const TeCustomer *c, double t)
{
	double		p = model->r + c->x;
	double		log_alive;
	double		log_odds;

	if (t <= 0)
		return 0;
	if (model->kind == TE_CHURN_BG_NBD)
		return te_score_churn_alive(model, c) * -expm1(-p * log1p(t / (model->alpha + c->T)));
	log_odds = pareto_log_odds_gone(model, c, &log_alive);
	return Min(1, exp(log(p) + log_integral(model->alpha, model->p4, p + 1, model->p3, c->T, c->T + t) -
					  log_alive - te_score_log_add(0, log_odds)));
}

/*
 * BG/NBD: purchases expected within t after T (Fader, Hardie & Lee 2005, equation 10),
 * with Euler's transformation of 2F1, so that nothing overflows and the series converges
 * for any t. Not for a = 1. Does not throw.
 */
static double
bg_expected(const TeScoreChurn *model, const TeCustomer *c, double t)
{
	double		a = model->p3;
	double		b = model->p4;
	double		z = t / (model->alpha + c->T + t);
	double		tail = exp((a - 1) * log1p(-z)) *
		te_score_hyp2f1(a + b - 1 - model->r, a - 1, a + b + c->x - 1, z);

	return (a + b + c->x - 1) / (a - 1) * (1 - tail) * te_score_churn_alive(model, c);
}

/*
 * Purchases expected within t after T. Does not throw.
 */
double
te_score_churn_expected(const TeScoreChurn *model, const TeCustomer *c, double t)
{
	const double h = 1e-4;
	TeScoreChurn low = *model;
	TeScoreChurn high = *model;
	double		s = model->p3;
	double		grown;

	if (t <= 0)
		return 0;
	if (model->kind == TE_CHURN_PARETO_NBD)
	{
		grown = log1p(t / (model->p4 + c->T));
		return te_score_churn_alive(model, c) * (model->r + c->x) * (model->p4 + c->T) / (model->alpha + c->T) *
			(fabs(s - 1) < 1e-12 ? grown : -expm1((1 - s) * grown) / (s - 1));
	}
	/* the formula is 0 / 0 where a = 1, and its 2F1 has poles where a + b + x = 1, 0, -1, ... */
	if (fabs(model->p3 - 1) >= h && fabs(model->p3 + model->p4 + c->x - 1) >= h)
		return bg_expected(model, c, t);
	low.p3 = Max(low.p3 - 2 * h, model->p3 / 2);
	high.p3 += 2 * h;
	return (bg_expected(&low, c, t) + bg_expected(&high, c, t)) / 2;
}
