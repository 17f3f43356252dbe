/*
 * special.h
 *		Special functions that read-outs and posteriors need, in double precision.
 *
 * None of them throws but for an interrupt of the user; arguments must be in range,
 * which the callers see to.
 */
#pragma once

#include "postgres.h"

/* normal distribution */
extern double te_special_normal_density(double x);
extern double te_special_normal_cdf(double x);
extern double te_special_normal_quantile(double p); /* lower tail; -Infinity for 0 */

/* beta: lower and upper tail at x = 1 - y, for a, b > 0 */
extern void te_special_beta(double a, double b, double x, double y, double *lower, double *upper);
extern double te_special_beta_density(double a, double b, double x, double y);
extern double te_special_beta_quantile(double a, double b, double p, double q); /* q = 1 - p */

/* gamma of scale 1: lower and upper tail at x, for a > 0 */
extern void te_special_gamma(double a, double x, double *lower, double *upper);
extern double te_special_gamma_density(double a, double x);

/* Student's t and chi-square: upper tails */
extern double te_special_t_tail(double t, double df);
extern double te_special_t_quantile(double p, double df);
extern double te_special_chi2_tail(double x, double df);

/* n nodes and weights on [-1, 1] */
extern void te_special_gauss_legendre(int n, double *nodes, double *weights);
