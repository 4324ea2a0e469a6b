/* SPDX-License-Identifier: MIT */
#include "runtime/report.h"

#include <inttypes.h>
#include <stdio.h>

static double in_seconds(weft_time time)
{
	return (double)time / (double)WEFT_SECOND;
}

void wf_report_outcome(const char *program, const struct wf_outcome *outcome)
{
	printf("seed=%" PRIu64 " step=%" PRIu64 " time=%.3f s hash=%016" PRIx64 "\n", outcome->seed,
	       outcome->steps, in_seconds(outcome->time), outcome->hash);
	if (outcome->failure == WF_FAILURE_NONE)
		return;
	printf("  %s: %s%s%s\n", wf_failure_name(outcome->failure), outcome->text,
	       outcome->site[0] ? ", at " : "", outcome->site);
	printf("  replay: %s --replay %" PRIu64, program, outcome->seed);
	if (outcome->failed_allocation)
		printf(" --allocation %" PRIu64 "%s", outcome->failed_allocation,
		       outcome->and_all_after ? ".." : "");
	printf("%s\n", outcome->failure == WF_FAILURE_DETERMINISM ? " --check-determinism" : "");
}

/* The end of what a failed run wrote. */
static void report_output(const struct wf_failed *failed)
{
	if (failed->output[0])
		printf("  the end of what it wrote:\n%s", failed->output);
}

void wf_report_findings(const char *program, const struct wf_findings *findings)
{
	uint64_t kept =
		findings->failures < WF_FAILURES_KEPT ? findings->failures : WF_FAILURES_KEPT;

	for (uint64_t i = 0; i < kept; i++) {
		wf_report_outcome(program, &findings->failed[i].outcome);
		if (i == 0)
			report_output(&findings->failed[i]);
	}
	if (findings->failures > kept)
		printf("... and %" PRIu64 " more\n", findings->failures - kept);
	printf("%" PRIu64 " runs in %.1f s (%.0f a second), %.0f s of virtual time, %" PRIu64
	       " steps, %" PRIu64 " failed, hash %016" PRIx64 "\n",
	       findings->runs, findings->seconds,
	       (double)findings->runs / (findings->seconds > 0 ? findings->seconds : 1),
	       in_seconds((weft_time)findings->time_ns), findings->steps, findings->failures,
	       findings->hash);
}

uint64_t wf_report_points(const struct weft_point_ *first, const struct weft_point_ *end)
{
	uint64_t never = 0;

	for (const struct weft_point_ *point = first; point < end; point++) {
		if (point->kind == WEFT_POINT_ALWAYS_ || point->held > 0)
			continue;
		never++;
		printf("never %s: %s, at %s\n",
		       point->kind == WEFT_POINT_REACHABLE_ || point->reached == 0 ? "reached" :
										     "held",
		       point->text, point->site);
	}
	return never;
}

void wf_report_matrix(const struct wf_findings *findings)
{
	uint32_t never = 0;

	for (uint32_t i = 0; i < wf_sim_menu_lines; i++) {
		const struct wf_sim_menu *line = &wf_sim_menu[i];

		if (line->error < 0)
			printf("%-10s %-16s %12" PRIu64 "\n", wf_sim_op_name(line->op),
			       weft_error_name(line->error), findings->hits[i]);
		else
			printf("%-10s at most %-8d %12" PRIu64 "\n", wf_sim_op_name(line->op),
			       line->error, findings->hits[i]);
		never += findings->hits[i] == 0;
	}
	printf("%u of %u mishaps were never met\n", never, wf_sim_menu_lines);
}
