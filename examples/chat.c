/* SPDX-License-Identifier: MIT */
/* A chat in one room. The first line of a member is its name; each other one goes to everybody else. A
 * member that does not keep up with reading is told so, and dropped. SIGINT or SIGTERM ends it in good
 * order.
 *
 *	chat [ADDRESS] */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

enum { NAME_BYTES_MAX = 16, TEXT_BYTES_MAX = 200, WAITING_MAX = 32 };

struct line {
	size_t bytes;
	char text[NAME_BYTES_MAX + TEXT_BYTES_MAX + 16];
};

struct member {
	struct member *next;
	struct weft_conn *conn;
	struct weft_chan *lines; /* for this member, from the others */
	const char *farewell;	 /* why it has to go; NULL: it stays as long as it likes */
	char name[NAME_BYTES_MAX + 1];
};

/* The room. Nothing that walks along it contains a checkpoint, so it cannot change meanwhile. */
static struct member *members;

static void dismiss(struct member *member, const char *farewell)
{
	member->farewell = farewell;
	weft_chan_close(member->lines); /* what it has been sent already still arrives */
}

static void say(const struct member *speaker, const char *mark, const char *text, size_t bytes)
{
	struct line line;

	line.bytes = (size_t)snprintf(line.text, sizeof line.text, "%s%s%.*s\n", speaker->name,
				      mark, (int)bytes, text);
	for (struct member *member = members; member; member = member->next)
		if (member != speaker && weft_chan_try_send(member->lines, &line) == -EAGAIN)
			dismiss(member, "* you read too slowly\n");
}

static void hear(struct member *member, const char *text, size_t bytes)
{
	if (bytes > 0 && text[bytes - 1] == '\r')
		bytes--;
	if (bytes > (member->name[0] ? TEXT_BYTES_MAX : NAME_BYTES_MAX)) {
		dismiss(member, "* that is too long\n");
	} else if (member->name[0]) {
		say(member, ": ", text, bytes);
	} else if (bytes > 0 && text[0]) {
		(void)snprintf(member->name, sizeof member->name, "%.*s", (int)bytes, text);
		say(member, " has come", "", 0);
	}
}

/* Hears the lines that are complete. After each of them the writers run, so that a burst of lines
 * drops nobody who reads. */
static int hear_lines(struct member *member, const struct weft_input *input)
{
	const char *line = input->data, *last = line + input->bytes, *end;
	int r = 0;

	while (r == 0 && !member->farewell && (end = memchr(line, '\n', (size_t)(last - line)))) {
		hear(member, line, (size_t)(end - line));
		line = end + 1;
		r = weft_yield();
	}
	if (r == 0 && !member->farewell && last - line > TEXT_BYTES_MAX)
		dismiss(member, "* that is too long\n");
	weft_consume(member->conn, (size_t)(line - input->data));
	return r;
}

static int read_lines(struct member *member)
{
	struct weft_input input;
	ssize_t n = 1;
	int r = 0;

	while (n > 0 && r == 0 && !member->farewell) {
		n = weft_fill(member->conn, &input);
		if (n > 0)
			r = hear_lines(member, &input);
	}
	return n < 0 ? (int)n : r;
}

/* Ends when the channel is closed and empty, or the connection fails. Its result is negative in any
 * case: so its end is that of the reader, too. */
static int write_lines(void *arg)
{
	const struct member *member = arg;
	struct line line;
	int r = 0;

	while (r == 0 && (r = weft_chan_recv(member->lines, &line)) == 0)
		WEFT_DEADLINE(weft_after(5 * WEFT_SECOND))
			r = weft_write(member->conn, line.text, line.bytes, NULL);
	return r;
}

static void leave(struct member *member)
{
	struct member **place = &members;

	while (*place != member)
		place = &(*place)->next;
	*place = member->next;
	if (member->name[0])
		say(member, " has gone", "", 0);
	weft_chan_close(member->lines);
}

static int serve_member(struct weft_conn *conn, void *arg)
{
	struct member member = { .next = members, .conn = conn };
	struct weft_scope scope;
	int r = weft_chan_new(sizeof(struct line), WAITING_MAX, &member.lines);

	(void)arg;
	if (r < 0)
		return r;
	members = &member;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, write_lines, &member);
	if (r == 0)
		r = read_lines(&member);
	leave(&member);
	(void)!weft_scope_close(&scope); /* when the writer has sent what was left, or given up */
	weft_chan_free(member.lines);
	if (member.farewell)
		WEFT_DEADLINE(weft_after(WEFT_SECOND))
			r = weft_finish(conn, member.farewell, strlen(member.farewell));
	return r;
}

static int serve(void *address)
{
	const struct weft_serve_options options = { .grace_ns = 2 * WEFT_SECOND };

	return weft_serve(address, serve_member, NULL, &options);
}

static int app(void *address)
{
	static const int numbers[] = { SIGINT, SIGTERM, 0 };
	struct weft_signals *signals;
	struct weft_scope scope;
	int r = weft_signals_open(numbers, &signals), closed;

	if (r < 0)
		return r;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, serve, address);
	if (r == 0) {
		printf("chat: serving %s\n", (const char *)address);
		(void)fflush(stdout);
		r = weft_signals_wait(signals);
	}
	weft_scope_stop(&scope); /* nobody comes any more; then everybody goes */
	for (struct member *member = members; member; member = member->next)
		dismiss(member, "* the server stops\n");
	closed = weft_scope_close(&scope);
	weft_signals_close(signals);
	return closed < 0 ? closed : r;
}

int main(int argc, char **argv)
{
	char *address = argc > 1 ? argv[1] : "127.0.0.1:10004";
	int r = weft_run(app, address, NULL);

	if (r < 0)
		(void)fprintf(stderr, "chat: %s: %s\n", address, weft_strerror(r));
	return r < 0;
}
