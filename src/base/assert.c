/* SPDX-License-Identifier: MIT */
/* What there is to say of a program with a bug in it, and its end. One write(2) a line, so that lines of
 * two processes do not mix. */
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __attribute__((format(printf, 1, 0))) void say(const char *format, va_list arguments)
{
	static const char prefix[] = "weft: ";
	char line[512];
	const size_t start = sizeof prefix - 1;
	const size_t room = sizeof line - start - 1; /* a place for the line feed stays free */
	size_t end = start;
	ssize_t written;
	int length;

	memcpy(line, prefix, start);
	length = vsnprintf(line + start, room, format, arguments);
	if (length > 0)
		end += (size_t)length < room ? (size_t)length : room - 1;
	for (size_t i = start; i < end; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[end++] = '\n';
	written = write(STDERR_FILENO, line, end);
	(void)written; /* nobody is left to tell */
}

void wf_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

void wf_panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	abort();
}

void wf_assert_failed(const char *condition, const char *file, int line, const char *function)
{
	wf_panic("assertion \"%s\" failed in %s, %s:%d", condition, function, file, line);
}
