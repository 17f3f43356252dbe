/*
 * guc.h
 *		Every setting of the extension, in the order of its name.
 */
#pragma once

#include "postgres.h"

extern char *te_guc_allowed_private_cidrs;
extern int	te_guc_batch_size;
extern char *te_guc_click_url;
extern char *te_guc_databases;
extern char *te_guc_default_zone;
extern int	te_guc_drain_timeout;
extern int	te_guc_event_lead;
extern int	te_guc_event_retention;
extern int	te_guc_history_retention;
extern bool te_guc_ingest;
extern char *te_guc_installation;
extern int	te_guc_max_databases;
extern int	te_guc_max_in_flight;
extern char *te_guc_open_url;
extern int	te_guc_partition_interval;
extern int	te_guc_poll_interval;
extern char *te_guc_public_url;
extern char *te_guc_secret_directory;
extern int	te_guc_segment_timeout;
extern int	te_guc_template_cache;
extern int	te_guc_template_iterations;
extern int	te_guc_template_memory;
extern int	te_guc_template_nesting;
extern int	te_guc_template_nodes;
extern int	te_guc_template_output;
extern int	te_guc_template_partial_depth;
extern int	te_guc_template_partial_size;
extern int	te_guc_template_partials;
extern int	te_guc_template_size;
extern int	te_guc_template_steps;
extern int	te_guc_template_time;
extern char *te_guc_user_id;
extern bool te_guc_virtual_clock;
extern int	te_guc_workers;

extern void te_guc_define(void);
