/* SPDX-License-Identifier: MIT */
/* Trying out guards; the pool of stacks (core/stack.h) puts them in place. */
#include "runtime/guard.h"

#include "core/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPPINGS_DEFAULT = 65530, MAPPINGS_PER_GUARD = 2 };

size_t wf_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE); /* which the kernel told at the start: cannot fail */
}

/* Whether the kernel itself faults on the page: an emulator may accept the advice and do nothing. */
static bool is_guarded(const void *page)
{
	int ends[2];
	bool faults;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	faults = write(ends[1], page, 1) < 0 && errno == EFAULT;
	(void)close(ends[0]); /* nothing was written that matters */
	(void)close(ends[1]);
	return faults;
}

static bool light_guards_work(void)
{
	size_t bytes = wf_page_bytes();
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool work;

	if (page == MAP_FAILED)
		return false;
	work = madvise(page, bytes, MADV_GUARD_INSTALL) == 0 && is_guarded(page);
	(void)munmap(page, bytes); /* a whole mapping: cannot fail */
	return work;
}

enum weft_guard wf_guard_best(void)
{
	return light_guards_work() ? WEFT_GUARD_LIGHT : WEFT_GUARD_MPROTECT;
}

int wf_guard_probe(enum weft_guard *ret_guard)
{
	const char *wanted = getenv("WEFT_GUARD");

	if (wanted && strcmp(wanted, "mprotect") == 0)
		*ret_guard = WEFT_GUARD_MPROTECT;
	else if (wanted && strcmp(wanted, "canary") == 0)
		*ret_guard = WEFT_GUARD_CANARY;
	else if (wanted && *wanted && strcmp(wanted, "light") != 0)
		return WEFT_EOPTION;
	else
		*ret_guard = wf_guard_best();
	return 0;
}

uint32_t wf_guard_budget(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned mappings = MAPPINGS_DEFAULT;

	if (file) {
		if (fscanf(file, "%u", &mappings) != 1)
			mappings = MAPPINGS_DEFAULT;
		(void)fclose(file); /* only read */
	}
	return mappings / 2 / MAPPINGS_PER_GUARD;
}
