/* SPDX-License-Identifier: MIT */
/* examples/chat.c: lines go to everybody else, nobody holds up the others, and the end is in order. */
#include "examples/program.h"

#define PATH(name) WEFT_BUILD_DIR "/examples/" name
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct program chat;

static void start_chat(void)
{
	char line[WEFT_ADDRESS_TEXT_MAX + 64];

	(void)snprintf(line, sizeof line, "chat: serving %s\n", own_address());
	program_start(&chat, ARGV(PATH("chat"), own_address()));
	program_hear(&chat, line);
}

static void end_chat(int number)
{
	program_signal(&chat, number);
	program_end(&chat);
	ck_assert_str_eq(chat.errors, "");
	ck_assert_int_eq(chat.status, 0);
}

/* Comes in; the one who is there already hears of it, so that the order is certain. */
static int come(const char *name, int witness)
{
	char line[64];
	int fd = program_dial(own_address());

	(void)snprintf(line, sizeof line, "%s\n", name);
	peer_say(fd, line);
	if (witness >= 0) {
		(void)snprintf(line, sizeof line, "%s has come\n", name);
		peer_hear(witness, line);
	}
	return fd;
}

/* A line goes to everybody but its speaker, and who goes is missed. */
WF_TEST(lines_go_to_the_others)
{
	int anna, bert, carl;

	start_chat();
	anna = come("anna", -1);
	bert = come("bert", anna);
	carl = come("carl", anna);
	peer_hear(bert, "carl has come\n");
	peer_say(anna, "hello\r\nall\n");
	peer_hear(bert, "anna: hello\nanna: all\n");
	peer_hear(carl, "anna: hello\nanna: all\n");
	peer_close(carl);
	peer_hear(anna, "carl has gone\n");
	peer_hear(bert, "carl has gone\n");
	peer_say(bert, "part of a line");
	peer_close(bert);
	peer_hear(anna, "bert has gone\n");
	end_chat(SIGINT);
	peer_close(anna);
}

/* A line that comes in pieces is one line. */
WF_TEST(pieces_are_joined)
{
	int anna, bert;

	start_chat();
	anna = come("anna", -1);
	bert = come("bert", anna);
	for (const char *piece = "in pieces\n"; *piece; piece++) {
		peer_send(anna, piece, 1);
		(void)usleep(1000);
	}
	peer_hear(bert, "anna: in pieces\n");
	end_chat(SIGTERM);
	peer_close(anna);
	peer_close(bert);
}

/* A name or a line that is too long is refused, with its end in sight or without. */
WF_TEST(long_lines_are_refused)
{
	char text[300];
	int anna, fd;

	memset(text, 'x', sizeof text);
	start_chat();
	anna = come("anna", -1);
	fd = program_dial(own_address());
	peer_say(fd, "a name of 17 byte\n");
	peer_hear(fd, "* that is too long\n");
	peer_hear_end(fd);
	peer_close(fd);
	fd = come("a name of 16 byt", anna);
	peer_send(fd, text, sizeof text);
	peer_hear(fd, "* that is too long\n");
	peer_hear_end(fd);
	peer_close(fd);
	peer_hear(anna, "a name of 16 byt has gone\n");
	fd = come("carl", anna);
	text[201] = '\n';
	peer_send(fd, text, 202);
	peer_hear(fd, "* that is too long\n");
	peer_hear_end(fd);
	peer_close(fd);
	peer_hear(anna, "carl has gone\n");
	end_chat(SIGINT);
	peer_close(anna);
}

/* A member that is cut off is missed, too. */
WF_TEST(reset_is_a_leave)
{
	int anna, bert;

	start_chat();
	anna = come("anna", -1);
	bert = come("bert", anna);
	peer_reset(bert);
	peer_hear(anna, "bert has gone\n");
	end_chat(SIGINT);
	peer_close(anna);
}

/* On a signal everybody is told, who has said nothing yet included, and what was said still arrives. */
WF_TEST(stop_is_told)
{
	int anna, bert, nobody;

	start_chat();
	nobody = program_dial(own_address());
	anna = come("anna", -1);
	bert = come("bert", anna);
	peer_say(anna, "the last\n");
	peer_hear(bert, "anna: the last\n");
	end_chat(SIGTERM);
	peer_hear(anna, "* the server stops\n");
	peer_hear_end(anna);
	peer_hear(bert, "* the server stops\n");
	peer_hear_end(bert);
	peer_hear(nobody, "anna has come\nbert has come\nanna: the last\n* the server stops\n");
	peer_hear_end(nobody);
	peer_close(anna);
	peer_close(bert);
	peer_close(nobody);
}

enum { BURST = 64, BURSTS = 700, LINE = 200 };

static char burst[BURST * LINE];
static char heard[BURST * (LINE + 6)];

static void make_burst(void)
{
	memset(burst, '.', sizeof burst);
	for (size_t i = 1; i <= BURST; i++)
		burst[i * LINE - 1] = '\n';
}

/* Reads to the end, and leaves the last of it in `heard`. */
static void hear_rest(int fd)
{
	size_t kept = sizeof heard / 2, length = 0;
	ssize_t n;

	while ((n = recv(fd, heard + length, kept, 0)) > 0) {
		length += (size_t)n;
		if (length > kept) {
			memmove(heard, heard + length - kept, kept);
			length = kept;
		}
	}
	ck_assert_int_eq(n, 0);
	heard[length] = 0;
}

/* Who does not read is dropped, is told so when it reads again, and holds nobody up; who reads gets
 * every line, however many come at once. */
WF_TEST(slow_member_is_dropped)
{
	static const char told[] = ".\n* you read too slowly\n";
	int anna, bert, slow;

	start_chat();
	make_burst();
	anna = come("anna", -1);
	bert = come("bert", anna);
	slow = come("slow", anna);
	peer_hear(bert, "slow has come\n");
	for (int i = 0; i < BURSTS; i++) {
		peer_send(anna, burst, sizeof burst);
		ck_assert_int_eq(peer_receive_all(bert, heard, sizeof heard), sizeof heard);
	}
	hear_rest(slow);
	ck_assert_uint_gt(strlen(heard), sizeof told);
	ck_assert_str_eq(heard + strlen(heard) - (sizeof told - 1), told);
	peer_hear(anna, "slow has gone\n");
	peer_hear(bert, "slow has gone\n");
	end_chat(SIGINT);
	peer_close(anna);
	peer_close(bert);
	peer_close(slow);
}

/* An address that is taken is explained. */
WF_TEST(taken_address_is_explained)
{
	static struct program second;

	start_chat();
	program_run(&second, ARGV(PATH("chat"), own_address()));
	ck_assert_int_eq(second.status, 1);
	ck_assert_ptr_nonnull(strstr(second.errors, "already in use"));
	end_chat(SIGINT);
}

WF_MAIN("examples/chat")
