/* SPDX-License-Identifier: MIT */
/* The programs that README.md and the guide show compile as they stand, and the first one runs. */
#include "examples/compile.h"

#include <dirent.h>

/* A whole file as a string; to be freed. */
static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat status;
	char *text;

	if (!file)
		ck_abort_msg("%s: %s", path, strerror(errno));
	ck_assert_int_eq(fstat(fileno(file), &status), 0);
	text = calloc(1, (size_t)status.st_size + 1);
	ck_assert_uint_eq(fread(text, 1, (size_t)status.st_size, file), (size_t)status.st_size);
	(void)fclose(file); /* it was read only */
	return text;
}

/* Cuts the next block of C out of a document, and moves on behind it; NULL: no more. */
static char *next_block(char **document)
{
	char *start = strstr(*document, "\n```c\n"), *end;

	if (!start)
		return NULL;
	start += strlen("\n```c\n");
	end = strstr(start, "\n```");
	ck_assert_ptr_nonnull(end);
	end[1] = 0;
	*document = end + 2;
	return start;
}

/* Compiles every complete program of a document; returns how many there are. What includes a file of its
 * own is one of several files, which are compiled by a test of theirs. */
static int compile_programs(const char *path)
{
	char *text = read_file(path), *rest = text, *block;
	int count = 0;

	while ((block = next_block(&rest))) {
		struct workshop workshop;

		if (!strstr(block, "int main(") || strstr(block, "\n#include \""))
			continue;
		workshop_open(&workshop);
		workshop_compile_text(&workshop, block);
		workshop_close(&workshop);
		count++;
	}
	free(text);
	return count;
}

/* Those of README.md compile. */
WF_TEST(readme_compiles)
{
	char path[1100];

	(void)snprintf(path, sizeof path, "%s/README.md", source_folder());
	ck_assert_int_ge(compile_programs(path), 1);
}

/* Those of the guide compile. */
WF_TEST(guide_compiles)
{
	char path[1400];
	struct dirent *entry;
	DIR *folder;
	int count = 0;

	(void)snprintf(path, sizeof path, "%s/docs/guide", source_folder());
	folder = opendir(path);
	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder))) {
		if (!strstr(entry->d_name, ".md"))
			continue;
		(void)snprintf(path, sizeof path, "%s/docs/guide/%s", source_folder(),
			       entry->d_name);
		count += compile_programs(path);
	}
	(void)closedir(folder); /* it was read only */
	ck_assert_int_ge(count, 1);
}

/* A copy of a program with the address that it serves on replaced by one of ours; to be freed. */
static char *with_own_address(const char *block)
{
	char *text = calloc(1, strlen(block) + WEFT_ADDRESS_TEXT_MAX);
	const char *address = strstr(block, "\"127.0.0.1:"), *end;

	ck_assert_ptr_nonnull(address);
	end = strchr(address + 1, '"');
	ck_assert_ptr_nonnull(end);
	(void)sprintf(text, "%.*s\"%s%s", (int)(address - block), block, own_address(), end);
	return text;
}

/* The first program of README.md is a server that sends back what it gets, and stops on SIGINT. */
WF_TEST(readme_runs)
{
	static struct program program;
	struct workshop workshop;
	char path[1100], *document, *rest, *source;
	int fd;

	(void)snprintf(path, sizeof path, "%s/README.md", source_folder());
	rest = document = read_file(path);
	source = with_own_address(next_block(&rest));
	workshop_open(&workshop);
	workshop_compile_text(&workshop, source);
	program_start(&program, (const char *const[]){ workshop.program, NULL });
	fd = program_dial(own_address());
	peer_say(fd, "hello");
	peer_hear(fd, "hello");
	program_signal(&program, SIGINT);
	peer_close(fd);
	program_end(&program);
	ck_assert_int_eq(program.status, 0);
	workshop_close(&workshop);
	free(source);
	free(document);
}

WF_MAIN("examples/readme")
