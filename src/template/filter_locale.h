/*
 * filter_locale.h
 *		What the files of localised filters share.
 */
#pragma once

#include "template/locale.h"

/* The locale of a filter: its named argument, the positional one at index, or the render's. NULL: *error says why. */
extern const char *te_filter_locale(TeRender *r, const TeArgs *args, int index, TeValue *error);

/* A positional argument, or the named one; NULL if neither was given or it is nil. */
extern const TeValue *te_filter_argument(const TeArgs *args, int index, const char *name);

/* The text of a number as it was written, terminated; NULL: the value is none. */
extern const char *te_filter_number(TeRender *r, TeValue value, int *len, int *decimals);

/* filter_locale_date.c */
extern TeValue te_filter_date_l(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_time_l(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_datetime_l(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_relative_time(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_date_in_locale(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_datetime_in_locale(TeRender *r, TeValue input, const TeArgs *args);

/* filter_fit.c */
extern TeValue te_filter_fit(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_fit_width(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_bidi(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_strip_bidi(TeRender *r, TeValue input, const TeArgs *args);
extern TeValue te_filter_strip_invisible(TeRender *r, TeValue input, const TeArgs *args);

/* translate.c */
extern TeValue te_filter_t(TeRender *r, TeValue input, const TeArgs *args);
