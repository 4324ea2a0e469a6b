/* SPDX-License-Identifier: MIT */
/* The end of a program with a bug in it. One write(2), so that lines of two processes do not mix. */
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wf_panic(const char *format, ...)
{
	static const char prefix[] = "weft: ";
	char line[512];
	const size_t start = sizeof prefix - 1;
	const size_t room = sizeof line - start - 1; /* a place for the line feed stays free */
	size_t end = start;
	ssize_t written;
	va_list arguments;
	int length;

	memcpy(line, prefix, start);
	va_start(arguments, format);
	length = vsnprintf(line + start, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		end += (size_t)length < room ? (size_t)length : room - 1;
	for (size_t i = start; i < end; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[end++] = '\n';
	written = write(STDERR_FILENO, line, end);
	(void)written; /* nobody is left to tell */
	abort();
}

void wf_assert_failed(const char *condition, const char *file, int line, const char *function)
{
	wf_panic("assertion \"%s\" failed in %s, %s:%d", condition, function, file, line);
}
