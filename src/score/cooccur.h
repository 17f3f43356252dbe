/*
 * cooccur.h
 *		What is bought together: items of baskets counted alone and in pairs.
 */
#pragma once

#include "score/score.h"

struct TePairTable;

typedef struct TeCooccurrence
{
	MemoryContext context;
	struct HTAB *ids;			/* number of each item by its name */
	char	  **names;
	double	   *baskets;		/* that hold the item */
	int			nitems;
	int			size;
	double		total;			/* baskets */
	int			cap;			/* items of a basket that count */
	struct TePairTable *pairs;
} TeCooccurrence;

/* An item beside another. */
typedef struct TeNeighbour
{
	int			other;
	int			count;			/* baskets that hold both */
	double		score;
} TeNeighbour;

/* How pairs are scored. */
typedef enum TePairScore
{
	TE_PAIR_LLR,
	TE_PAIR_COSINE
} TePairScore;

extern void te_score_cooccurrence_init(TeCooccurrence *c, int cap);
extern int	te_score_item_number(TeCooccurrence *c, const char *name);
extern void te_score_count_basket(TeCooccurrence *c, int *items, int count);
extern TeNeighbour *te_score_neighbours(const TeCooccurrence *c, int64 *ends);
extern double te_score_pair(TePairScore kind, double together, double a, double b, double total);
extern int	te_score_top(const TeCooccurrence *c, TeNeighbour *neighbours, int count, int most);
extern double te_score_llr(double k11, double k12, double k21, double k22);
